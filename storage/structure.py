"""A part's own files: whether metadata, lengths and shard indexes are as they were written."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from storage.codecs import CODECS
from storage.errors import WrongFormat
from storage.inventory import PartFiles
from storage.layout import (
    METADATA,
    ArrayLayout,
    PartHeader,
    PartLayout,
    decode_index,
    index_bytes,
)
from storage.location import Location


def structure_damage(location: Location, files: PartFiles) -> str | None:
    """What is wrong with a part's metadata, file lengths or shard indexes, or None."""
    try:
        header = PartHeader.parse(location.read_bytes(f"{files.key}/{METADATA}"), files.key)
    except FileNotFoundError:
        return "zarr.json is missing"
    except (ValueError, WrongFormat) as error:
        return f"zarr.json is damaged ({error})"
    if header.spec.name != files.feature:
        return f"zarr.json speaks of {header.spec.name}"
    if not header.known_codec:
        return _codec_damage(location, files, header)
    return next(filter(None, _array_damages(location, files, header)), None)


def _codec_damage(location: Location, files: PartFiles, header: PartHeader) -> str | None:
    """Whether a codec that only stock Zarr may know is one of ours, misspelt."""
    path = f"values/{METADATA}"
    if path not in files.files:
        return f"{path} is missing"
    found, rows = _parsed(location.read_bytes(f"{files.key}/{path}")), header.rows["values"]
    layouts = (PartLayout(header.spec, codec).values for codec in CODECS.values())
    if any(found == json.loads(layout.metadata(rows)) for layout in layouts):
        return f"zarr.json is damaged (its rows are in another codec than {header.spec.codec!r})"
    return None


def _array_damages(
    location: Location, files: PartFiles, header: PartHeader
) -> Iterable[str | None]:
    for array in header.layout.arrays:
        rows, size = header.rows[array.name], header.file_bytes[array.name]
        for path in (array.path, f"{array.name}/{METADATA}"):
            if path not in files.files:
                yield f"{path} is missing"
                return
        if files.files[array.path] != size:
            yield f"{array.path} has {files.files[array.path]} bytes instead of {size}"
            continue
        document = location.read_bytes(f"{files.key}/{array.name}/{METADATA}")
        if _parsed(document) != json.loads(array.metadata(rows)):
            yield f"{array.name}/{METADATA} is damaged"
        yield _index_damage(location, f"{files.key}/{array.path}", array, rows, size)


def _index_damage(
    location: Location, key: str, array: ArrayLayout, rows: int, size: int
) -> str | None:
    length = index_bytes(array.chunks(rows))
    try:
        index = decode_index(location.read_range(key, size - length, length))
    except (EOFError, ValueError) as error:
        return f"{array.path}: {error}"
    if array.codec.plain:
        chunk = array.chunk * array.row_bytes
        wanted = np.arange(len(index), dtype=np.uint64) * np.uint64(chunk)
        if not np.array_equal(index[:, 0], wanted) or np.any(index[:, 1] != chunk):
            return f"{array.path}: the shard's index is wrong"
    return None


def _parsed(document: bytes) -> object:
    try:
        return json.loads(document)
    except ValueError:
        return None
