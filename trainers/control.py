"""The control experiment: the same training with labels that belong to other clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from storage.batches import Windows
from storage.clip_rows import ClipRows, Lined
from storage.clips import LABEL
from storage.selection import Selection

#: orders that are drawn; the one that tells least of the clips' own labels is taken
DRAWS = 200


class OtherLabels(ClipRows):
    """Rows whose labels are those of another clip, so that nothing can be learned from them.

    A clip's labels are another clip's, turned round by half their length and stretched by
    repetition to its own.
    """

    def __init__(self, rows: ClipRows, order: NDArray[np.int64]) -> None:
        self.__dict__ |= vars(rows)
        self._other = order

    def read(self, clip: int) -> dict[str, Lined]:
        """As the clip's rows, but for the labels."""
        own = super().read(clip)
        other = super().read(int(self._other[clip]))
        count = int(self.rows[clip])
        out = dict(own)
        for name in own:
            if name.startswith(LABEL):
                values, valid = other[name]
                index = (np.arange(count) + len(values) // 2) % max(len(values), 1)
                out[name] = (values[index], valid[index])
        return out


class OtherRowsLabels(ClipRows):
    """Rows whose labels are those of another row of the clip: for pictures without an order."""

    def __init__(self, rows: ClipRows, seed: int) -> None:
        self.__dict__ |= vars(rows)
        self._seed = seed

    def read(self, clip: int) -> dict[str, Lined]:
        """As the clip's rows, but for the labels."""
        found = super().read(clip)
        rng = np.random.default_rng([self._seed, 99, clip])
        order = derangement(int(self.rows[clip]), rng)
        return {
            name: (values[order], valid[order]) if name.startswith(LABEL) else (values, valid)
            for name, (values, valid) in found.items()
        }


def derangement(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation in which nothing stays where it is, if there are two or more."""
    order = rng.permutation(count)
    turned = np.empty(count, np.int64)
    turned[order] = np.roll(order, 1)
    return turned


def unlike(told: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Of ``DRAWS`` derangements the one after which clips' labels agree least with their own.

    Of a few clips, any one order leaves some correlation, from which a network learns what the
    control says can't be learned, or its reverse. (Of 48 clips in four classes, every seventh order
    at random lets a classifier beat chance at p < .01.)

    Args:
        told: float64 ``(clips, k)``, numbers that labels give of each clip; NaN where unknown.

    Returns:
        int64 ``(clips,)``: whose labels each clip is given.
    """
    drawn = [derangement(len(told), rng) for _ in range(DRAWS)]
    known = np.isfinite(told)
    counts = np.maximum(known.sum(0), 1)
    off = np.where(known, told - np.where(known, told, 0).sum(0) / counts, 0)
    left = [
        np.abs((off * off[order]).sum(0)) / np.maximum((off**2).sum(0), 1e-12) for order in drawn
    ]
    return drawn[int(np.argmin([one.max(initial=0) for one in left]))]


def told_by(labels: NDArray[np.generic], classes: int) -> NDArray[np.float64]:
    """What ``unlike`` goes by of clip labels: values as they are, of classes 1 for a clip's own.

    Args:
        labels: ``(clips, k)`` values, or ``(clips,)`` class numbers.

    Returns:
        float64 ``(clips, k)`` or ``(clips, classes)``.
    """
    if labels.ndim == 1:
        return np.asarray(labels[:, None] == np.arange(classes), np.float64)
    return labels.astype(np.float64)


def _told(selection: Selection, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Means of the frame labels ``names`` and numbers among the clip labels: ``(clips, k)``."""
    numbers = sorted({n for c in selection.clips for n, v in c.labels.items() if _is_number(v)})
    told = np.full((len(selection), len(names) + len(numbers)), np.nan)
    for i, clip in enumerate(selection.clips):
        for k, name in enumerate(names):
            rows = selection.store.read_result(clip.results[name])
            told[i, k] = rows.values[rows.valid].mean() if rows.valid.any() else np.nan
        for k, name in enumerate(numbers, len(names)):
            value = clip.labels.get(name)
            told[i, k] = value if _is_number(value) else np.nan
    return told


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float)


def shuffled(windows: Windows, seed: int) -> Windows:
    """The same windows with other clips' labels, frame labels and clip labels both."""
    selection = windows.selection
    frame_labels = tuple(name for name in windows.rows.names if name.startswith(LABEL))
    found = unlike(_told(selection, frame_labels), np.random.default_rng([seed, 99]))
    order = found.tolist()
    given: list[Mapping[str, float | int | str | None]] = [c.labels for c in selection.clips]
    clips = tuple(
        replace(clip, labels=given[other])
        for clip, other in zip(selection.clips, order, strict=True)
    )
    rows = OtherLabels(windows.rows, found)
    rows.selection = replace(selection, clips=clips)
    return _of(windows, rows)


def shuffled_pictures(windows: Windows, seed: int) -> Windows:
    """The same windows of single rows, each with the label of another row of its clip."""
    return _of(windows, OtherRowsLabels(windows.rows, seed))


def _of(windows: Windows, rows: ClipRows) -> Windows:
    return Windows(
        rows,
        windows.clips,
        windows.starts,
        windows.counts,
        device=windows.device,
        mode=windows.loading.mode,
    )
