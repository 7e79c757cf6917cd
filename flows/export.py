"""Features as files that other programs read."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.errors import RequestError
from features.spec import Rows
from storage import FeatureStore
from storage.groups import bounds_of, split

FORMATS = "x.npy, x.parquet, x.csv, x.wav (audio), or a folder (images)"


class CannotExport(RequestError):
    """The feature doesn't fit the asked format."""

    code = "cannot_export"


@dataclass(frozen=True)
class Written:
    """One file or folder that was written."""

    path: Path
    rows: int


@dataclass(frozen=True)
class _Clip:
    corpus: str
    clip: str
    rows: Rows
    info: dict[str, Any]
    times: np.ndarray[Any, np.dtype[np.float64]] | None


def export(
    store: FeatureStore,
    feature: str,
    to: Path,
    *,
    clip: str | None = None,
    corpus: str | None = None,
    variant: str | None = None,
) -> list[Written]:
    """Write a feature, or ``<feature>.<group>``, of one clip or of all clips.

    ``.npy`` of several clips is their rows one after the other; tables have the columns corpus,
    clip, row, time, valid and then the values. WAV and images want one file or folder per clip:
    with several clips, ``to`` is a folder of them. ``variant``: what that configuration of the
    store gives, instead of the default one.

    Raises:
        CannotExport: the feature doesn't fit the format.
        NotPublished, UnknownClip: there is nothing to write.
    """
    writers: dict[str, Callable[[Sequence[_Clip], Path, str], list[Written]]] = {
        ".npy": _npy,
        ".parquet": _parquet,
        ".csv": _csv,
        ".wav": _wav,
        "": _images,
    }
    suffix = to.suffix.lower()
    if suffix not in writers:
        raise CannotExport(f"--to {to}: unknown format; write {FORMATS}")
    base, _ = split(feature)
    clips = [_read(store, c, f, feature, variant) for c, f in _chosen(store, base, clip, corpus)]
    to.parent.mkdir(parents=True, exist_ok=True)
    return writers[suffix](clips, to, feature)


def _chosen(
    store: FeatureStore, feature: str, clip: str | None, corpus: str | None
) -> list[tuple[str, str]]:
    if clip is not None:
        return [(store.clip(clip, corpus)["corpus"], clip)]
    found = {(p.corpus, p.clip) for p in store.published(corpus=corpus, features=[feature])}
    if not found:
        raise CannotExport(
            f"nothing of {feature} is published here; affectstore status shows what is"
        )
    return sorted(found)


def _read(store: FeatureStore, corpus: str, clip: str, feature: str, variant: str | None) -> _Clip:
    base, group = split(feature)
    published = store.rows(clip, base, corpus=corpus, variant=variant)
    info = store.part_info(published)
    if group is not None:
        start, stop = bounds_of(store.spec(published), group)
        info["columns"] = info["columns"][start:stop]
    times: np.ndarray[Any, np.dtype[np.float64]] | None = None
    if info["rate"] == "frame" and feature != "timeline":
        own = store.published(corpus=corpus, clips=[clip], features=["timeline"])
        if own:
            timeline = store.read(clip, "timeline", corpus=corpus, variant=variant)
            times = timeline.values.astype(np.float64)
    rows = store.read(clip, feature, corpus=corpus, variant=variant)
    if times is None and rows.step is not None:
        times = (rows.t0 + rows.step * np.arange(rows.rows)).astype(np.float64)
    return _Clip(corpus, clip, rows, info, times)


def _npy(clips: Sequence[_Clip], to: Path, feature: str) -> list[Written]:
    np.save(to, np.concatenate([c.rows.values for c in clips]))
    return [Written(to, sum(c.rows.rows for c in clips))]


def _table(clips: Sequence[_Clip], feature: str) -> pa.Table:
    tables = [_clip_table(c, feature) for c in clips]
    return pa.concat_tables(tables)


def _clip_table(c: _Clip, feature: str) -> pa.Table:
    values, index = c.rows.values, np.arange(c.rows.rows)
    if c.rows.offsets is not None:
        index = np.repeat(index, np.diff(c.rows.offsets))
    flat = values.reshape(len(values), -1)
    names = list(c.info["columns"])
    if flat.shape[1] > 4096:
        raise CannotExport(
            f"{feature} has {flat.shape[1]} numbers a row: too many for a table; "
            "write x.npy, or a folder of images"
        )
    if len(names) != flat.shape[1]:
        names = (
            [feature] if flat.shape[1] == 1 else [f"{feature}_{i}" for i in range(flat.shape[1])]
        )
    times = np.full(len(index), np.nan) if c.times is None else c.times[index]
    columns: dict[str, Any] = {
        "corpus": pa.array([c.corpus] * len(index)),
        "clip": pa.array([c.clip] * len(index)),
        "row": pa.array(index, pa.int64()),
        "time": pa.array(times, pa.float64()),
        "valid": pa.array(c.rows.valid[index // c.rows.block]),
    }
    for i, name in enumerate(names):
        columns[name] = pa.array(np.ascontiguousarray(flat[:, i]))
    return pa.table(columns)


def _parquet(clips: Sequence[_Clip], to: Path, feature: str) -> list[Written]:
    table = _table(clips, feature)
    pa.parquet.write_table(table, to, compression="zstd")
    return [Written(to, table.num_rows)]


def _csv(clips: Sequence[_Clip], to: Path, feature: str) -> list[Written]:
    table = _table(clips, feature)
    pa.csv.write_csv(table, to)
    return [Written(to, table.num_rows)]


def _wav(clips: Sequence[_Clip], to: Path, feature: str) -> list[Written]:
    written = []
    for c in clips:
        if c.info["rate"] != "sample" or c.rows.step is None or c.rows.values.dtype != np.int16:
            raise CannotExport(f"{feature} is no waveform; .wav is for audio_16k")
        path = to if len(clips) == 1 else to.with_suffix("") / f"{c.clip}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(round(1 / c.rows.step))
            file.writeframes(c.rows.values.astype("<i2").tobytes())
        written.append(Written(path, c.rows.rows))
    return written


def _images(clips: Sequence[_Clip], to: Path, feature: str) -> list[Written]:
    import cv2

    written = []
    for c in clips:
        values = c.rows.values
        if values.dtype != np.uint8 or values.ndim not in (3, 4):
            raise CannotExport(f"{feature} holds no images; write {FORMATS}")
        folder = to if len(clips) == 1 else to / c.clip
        folder.mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(values):
            pixels = image[..., ::-1] if image.ndim == 3 and image.shape[-1] == 3 else image
            cv2.imwrite(str(folder / f"{i:06d}.png"), np.ascontiguousarray(pixels))
        written.append(Written(folder, len(values)))
    return written
