"""Per-column statistics of a feature over the valid rows of chosen clips, computed once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.canonical import H
from storage.errors import ReadOnlyStore, StoreFull
from storage.selection import Selection

#: folder of the store; ``forget`` empties it, for sums over forgotten clips are theirs too
FOLDER = "statistics"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of each column, over valid rows; NaN are left out, column by column.

    Attributes:
        mean, std, min, max: float64 ``dims``; population moments; NaN where nothing was counted.
        count: int64 ``dims``, values that were counted.
    """

    mean: Floats
    std: Floats
    min: Floats
    max: Floats
    count: NDArray[np.int64]


def feature_statistics(selection: Selection, feature: str) -> Statistics:
    """Statistics of a feature over a selection's clips, from the store if it has them.

    They lie in the store as JSON under ``statistics/<feature>/<key>.json``; the key is made of
    the clips' contents, so that a changed result never meets old numbers. A store that can't be
    written to is left as it is.

    Raises:
        ValueError: the feature isn't of the selection.
        DamagedPart.
    """
    if feature not in selection.specs:
        raise ValueError(f"{feature} isn't of this selection")
    store = selection.store
    digest = H("statistics", feature, sorted(selection.contents(feature)))
    key = f"{FOLDER}/{feature}/{digest}.json"
    # a file that can't be read is computed and written anew: nothing is lost by it
    with suppress(FileNotFoundError, ValueError, KeyError):
        return _parse(store.location.read_bytes(key), selection.specs[feature].dims)
    found = compute(
        (rows.values, rows.valid)
        for rows in (store.read_result(clip.results[feature]) for clip in selection.clips)
    )
    if not getattr(store, "read_only", True):
        # where they can't be kept, as on a share mounted read-only, the next one computes them
        with suppress(ReadOnlyStore, StoreFull):
            store.location.write_bytes(key, _text(found))
    return found


def compute(pieces: Iterable[tuple[NDArray[np.generic], NDArray[np.bool_]]]) -> Statistics:
    """Statistics of values ``(rows, *dims)`` with validity ``(rows,)``, piece by piece.

    Moments are merged about the running mean (Chan et al. 1983), so that a large common offset
    costs no precision.

    Raises:
        ValueError: no pieces.
    """
    total: tuple[NDArray[np.int64], Floats, Floats, Floats, Floats] | None = None
    for values, valid in pieces:
        rows = values[valid].astype(np.float64)
        known = np.isfinite(rows)
        count = known.sum(0)
        safe = np.maximum(count, 1)
        mean = np.where(known, rows, 0.0).sum(0) / safe
        moment = (np.where(known, rows - mean, 0.0) ** 2).sum(0)
        low = np.where(known, rows, np.inf).min(0, initial=np.inf)
        high = np.where(known, rows, -np.inf).max(0, initial=-np.inf)
        if total is None:
            total = (count, mean, moment, low, high)
            continue
        n, m, s, lows, highs = total
        both = np.maximum(n + count, 1)
        apart = mean - m
        total = (
            n + count,
            np.where(n + count > 0, m + apart * count / both, 0.0),
            s + moment + apart**2 * n * count / both,
            np.minimum(lows, low),
            np.maximum(highs, high),
        )
    if total is None:
        raise ValueError("there is nothing to make statistics of")
    count, mean, moment, low, high = total
    none = count == 0

    def known_only(values: Floats) -> Floats:
        return np.where(none, np.nan, values)

    std = np.sqrt(moment / np.maximum(count, 1))
    mean, std, low, high = map(known_only, (mean, std, low, high))
    return Statistics(mean, std, low, high, np.asarray(count, np.int64))


def _text(found: Statistics) -> bytes:
    numbers = {
        name: [None if np.isnan(v) else v for v in getattr(found, name).reshape(-1).tolist()]
        for name in ("mean", "std", "min", "max")
    }
    held = numbers | {"count": found.count.reshape(-1).tolist()}
    return json.dumps(held | {"digest": H("numbers", held)}).encode()


def _parse(text: bytes, dims: tuple[int, ...]) -> Statistics:
    held = json.loads(text)
    if held.pop("digest") != H("numbers", held):
        raise ValueError("the numbers differ from their digest")
    mean, std, low, high = (
        np.array([np.nan if v is None else v for v in held[name]], np.float64).reshape(dims)
        for name in ("mean", "std", "min", "max")
    )
    return Statistics(mean, std, low, high, np.array(held["count"], np.int64).reshape(dims))
