"""What trainers read: windows, whole sequences, and one row per clip."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from features.spelling import nearest
from storage.batches import Tail, Windows, lay_windows, whole_clips
from storage.clip_rows import ClipRows
from storage.errors import NotPublished
from storage.loading import Mode
from storage.lookup import Stale
from storage.resample import Resample
from storage.selection import LabelRate, Selection, select_clips
from storage.trainer_reads import listed

if TYPE_CHECKING:
    from storage.reading import StoreReader


class TrainerOptions(TypedDict, total=False):
    """Further arguments of ``store.windows`` and ``store.sequences``.

    resample: rows at a constant rate; stored data stay as they are.
    fill: features whose invalid rows take the nearest valid row's values.
    label_rate: frame or clip, where a label is both.
    clips: only these clips.
    device: where batches are wanted (``cpu``, ``cuda``).
    mode: device, ram or stream; without it the fastest that fits.
    """

    resample: Resample | None
    fill: Collection[str]
    label_rate: LabelRate
    clips: Sequence[str] | None
    device: str
    mode: Mode | None
    variant: str | None
    stale: Stale


@dataclass(frozen=True, eq=False)
class ClipTable:
    """One row per clip.

    Attributes:
        values: feature -> ``(clips, *dims)``.
        valid: feature -> bool ``(clips,)``.
        labels, labelled: name -> ``(clips,)``; words are their position in
            ``selection.classes``.
    """

    selection: Selection
    values: Mapping[str, NDArray[np.generic]]
    valid: Mapping[str, NDArray[np.bool_]]
    labels: Mapping[str, NDArray[np.generic]]
    labelled: Mapping[str, NDArray[np.bool_]]


def windows(
    store: StoreReader,
    features: Sequence[str],
    length: int,
    stride: int,
    corpus: str | None,
    split: str | None,
    labels: Sequence[str],
    tail: Tail,
    how: TrainerOptions,
) -> Windows:
    """See ``StoreReader.windows``."""
    _among("tail", tail, get_args(Tail))
    rows = _lined(store, features, corpus, split, labels, how)
    return _windows(rows, lay_windows(rows.rows, length, stride, tail), how)


def sequences(
    store: StoreReader,
    features: Sequence[str],
    corpus: str | None,
    split: str | None,
    labels: Sequence[str],
    how: TrainerOptions,
) -> Windows:
    """See ``StoreReader.sequences``."""
    rows = _lined(store, features, corpus, split, labels, how)
    return _windows(rows, whole_clips(rows.rows), how)


def clip_rows(
    store: StoreReader,
    features: Sequence[str],
    corpus: str | None,
    split: str | None,
    labels: Sequence[str],
    clips: Sequence[str] | None,
    variant: str | None = None,
) -> ClipTable:
    """See ``StoreReader.clip_rows``.

    Raises:
        NotPublished: a feature isn't of rate ``clip``. ValueError: there are no features.
    """
    _need_some(features)
    selection = select_clips(
        store,
        features,
        corpus,
        split=split,
        clips=clips,
        labels=labels,
        label_rate="clip",
        variant=variant,
    )
    for name in features:
        if selection.specs[name].rate != "clip":
            raise NotPublished(f"{name} has rows per {selection.specs[name].rate}, not per clip")
    read = {
        name: [store.read_result(clip.results[name], 0, 1) for clip in selection.clips]
        for name in features
    }
    label = {name: selection.clip_label(name) for name in selection.clip_labels}
    return ClipTable(
        selection,
        {n: np.concatenate([r.values for r in rows]) for n, rows in read.items()},
        {n: np.concatenate([r.valid for r in rows]) for n, rows in read.items()},
        {n: values for n, (values, _) in label.items()},
        {n: known for n, (_, known) in label.items()},
    )


def _lined(
    store: StoreReader,
    features: Sequence[str],
    corpus: str | None,
    split: str | None,
    labels: Sequence[str],
    how: TrainerOptions,
) -> ClipRows:
    fill, clips = _checked(features, how)
    selection = select_clips(
        store,
        features,
        corpus,
        split=split,
        clips=clips,
        labels=labels,
        label_rate=how.get("label_rate", "auto"),
        variant=how.get("variant"),
        stale=how.get("stale", "raise"),
    )
    return ClipRows(selection, resample=how.get("resample"), fill=fill)


def _checked(
    features: Sequence[str], how: TrainerOptions
) -> tuple[Sequence[str], Sequence[str] | None]:
    """The names in ``fill`` and ``clips``.

    Raises:
        TypeError: there is no such option. ValueError: it can't have that value.
    """
    _need_some(features)
    known = list(TrainerOptions.__annotations__)
    for name in how:
        if name not in known:
            raise TypeError(
                f"there is no option {name!r}{nearest(name, known)}; there are {', '.join(known)}"
            )
    _among("mode", how.get("mode"), (None, *get_args(Mode)))
    _among("label_rate", how.get("label_rate", "auto"), get_args(LabelRate))
    _among("stale", how.get("stale", "raise"), get_args(Stale))
    if not isinstance(how.get("resample"), Resample | None):
        raise ValueError(f"resample={how['resample']!r}: give Resample(fps)")
    given, clips = how.get("fill", ()), how.get("clips")
    fill = listed(given) if isinstance(given, str) else tuple(given)
    for name in fill:
        if name not in features:
            raise ValueError(
                f"fill has {name!r}{nearest(name, features)}; it is none of the features that are "
                f"read: {', '.join(features)}"
            )
    return fill, None if clips is None else listed(clips)


def _need_some(features: Sequence[str]) -> None:
    if not features:
        raise ValueError("features is empty; name one at least")


def _among(name: str, value: object, known: Sequence[object]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(map(str, known))}")


def _windows(
    rows: ClipRows,
    laid: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    how: TrainerOptions,
) -> Windows:
    return Windows(rows, *laid, device=how.get("device", "cpu"), mode=how.get("mode"))
