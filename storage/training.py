"""What trainers read: windows, whole sequences, and one row per clip."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from storage.batches import Tail, Windows, lay_windows, whole_clips
from storage.clip_rows import ClipRows
from storage.errors import NotPublished
from storage.loading import Mode
from storage.lookup import Stale
from storage.resample import Resample
from storage.selection import LabelRate, Selection, select_clips

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
        NotPublished: a feature isn't of rate ``clip``.
    """
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
    selection = select_clips(
        store,
        features,
        corpus,
        split=split,
        clips=how.get("clips"),
        labels=labels,
        label_rate=how.get("label_rate", "auto"),
        variant=how.get("variant"),
        stale=how.get("stale", "raise"),
    )
    return ClipRows(selection, resample=how.get("resample"), fill=how.get("fill", ()))


def _windows(
    rows: ClipRows,
    laid: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    how: TrainerOptions,
) -> Windows:
    return Windows(rows, *laid, device=how.get("device", "cpu"), mode=how.get("mode"))
