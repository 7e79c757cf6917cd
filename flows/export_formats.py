"""The files that an export writes, clip by clip."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.lib import format as npy

from flows.export_clips import CannotExport, Clip, Clips

FORMATS = "x.npy, x.parquet, x.csv, x.wav (audio), or a folder (images)"


@dataclass(frozen=True)
class Written:
    """One file or folder that was written."""

    path: Path
    rows: int


@contextmanager
def _whole(to: Path) -> Iterator[Path]:
    """A path to write to, which becomes ``to`` once all is there."""
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def _npy(clips: Clips, to: Path, feature: str) -> list[Written]:
    """Rows of one clip after the other; the header, whose length doesn't change, comes last."""
    count = rows = 0
    first: np.ndarray[Any, np.dtype[Any]] | None = None

    with _whole(to) as part, part.open("wb") as file:
        for c in clips:
            values = np.ascontiguousarray(c.rows.values)
            if first is None:
                first = values[:0]
                _npy_header(file, first, 0)
            if (values.shape[1:], values.dtype) != (first.shape[1:], first.dtype):
                raise CannotExport(
                    f"{c.name}: {feature} has rows of another shape or type than the clips "
                    "before it; extract it anew, or export fewer clips"
                )
            file.write(values.tobytes())
            count, rows = count + len(values), rows + c.rows.rows
        file.seek(0)
        assert first is not None
        _npy_header(file, first, count)
    return [Written(to, rows)]


def _npy_header(file: Any, like: np.ndarray[Any, np.dtype[Any]], count: int) -> None:
    header = npy.header_data_from_array_1_0(like) | {"shape": (count, *like.shape[1:])}
    npy.write_array_header_1_0(file, header)


def _clip_table(c: Clip, feature: str) -> pa.Table:
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


def _same(table: pa.Table, schema: pa.Schema, c: Clip, feature: str) -> pa.Table:
    if table.schema != schema:
        raise CannotExport(
            f"{c.name}: {feature} has other columns than the clips before it; extract it anew, or "
            "export fewer clips"
        )
    return table


def _tables(
    clips: Clips, to: Path, feature: str, writer: Callable[[Path, pa.Schema], Any]
) -> list[Written]:
    """One clip's table after the other into one file."""
    rows, opened = 0, None
    with _whole(to) as part:
        try:
            for c in clips:
                table = _clip_table(c, feature)
                if opened is None:
                    schema = table.schema
                    opened = writer(part, schema)
                opened.write_table(_same(table, schema, c, feature))
                rows += table.num_rows
        finally:
            if opened is not None:
                opened.close()
    return [Written(to, rows)]


def _parquet(clips: Clips, to: Path, feature: str) -> list[Written]:
    def writer(path: Path, schema: pa.Schema) -> pa.parquet.ParquetWriter:
        return pa.parquet.ParquetWriter(path, schema, compression="zstd")

    return _tables(clips, to, feature, writer)


def _csv(clips: Clips, to: Path, feature: str) -> list[Written]:
    return _tables(clips, to, feature, pa.csv.CSVWriter)


def _wav(clips: Clips, to: Path, feature: str) -> list[Written]:
    written = []
    paths = [to] if len(clips) == 1 else clips.paths(to.with_suffix(""), ".wav")
    for c, path in zip(clips, paths, strict=True):
        if c.info["rate"] != "sample" or c.rows.step is None or c.rows.values.dtype != np.int16:
            raise CannotExport(f"{feature} is no waveform; .wav is for audio_16k")
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(round(1 / c.rows.step))
            file.writeframes(c.rows.values.astype("<i2").tobytes())
        written.append(Written(path, c.rows.rows))
    return written


def _images(clips: Clips, to: Path, feature: str) -> list[Written]:
    import cv2

    written = []
    folders = [to] if len(clips) == 1 else clips.paths(to, "")
    for c, folder in zip(clips, folders, strict=True):
        values = c.rows.values
        if values.dtype != np.uint8 or values.ndim not in (3, 4):
            raise CannotExport(f"{feature} holds no images; write {FORMATS}")
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _image_name(len(values))).exists():
            raise CannotExport(
                f"{folder} holds more images than {c.name} has rows, as of another clip; remove "
                "them, or name another folder"
            )
        for i, image in enumerate(values):
            pixels = image[..., ::-1] if image.ndim == 3 and image.shape[-1] == 3 else image
            path = folder / _image_name(i)
            if not cv2.imwrite(str(path), np.ascontiguousarray(pixels)):
                raise OSError(f"{path} can't be written")
        written.append(Written(folder, len(values)))
    return written


def _image_name(row: int) -> str:
    return f"{row:06d}.png"


#: suffix -> what writes such files
WRITERS: dict[str, Callable[[Clips, Path, str], list[Written]]] = {
    ".npy": _npy,
    ".parquet": _parquet,
    ".csv": _csv,
    ".wav": _wav,
    "": _images,
}
