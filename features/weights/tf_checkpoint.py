"""Reads the tensors of a TensorFlow checkpoint (NAME.index, NAME.data-…) without TensorFlow.

The index maps each tensor's name to a small protocol-buffer message: type, shape, which data
file, offset, size and checksum. The empty name holds the header.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from features.errors import WeightsDamaged
from features.weights.tf_table import read_table, unmasked, varint

#: numbers of TensorFlow's types -> numpy's; others aren't needed for weights
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
#: field numbers of the header and of an entry
SHARDS, ENDIANNESS = 1, 2
DTYPE, SHAPE, SHARD, OFFSET, SIZE, CRC, SLICES = 1, 2, 3, 4, 5, 6, 7
#: within a shape: its dimensions, and the size of one
DIM, DIM_SIZE = 2, 1


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies: data file, offset and bytes; its type and shape; its checksum."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read_checkpoint(index: Path, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Name -> array, of the tensors whose name begins with ``prefix``.

    Args:
        index: the ``.index`` file; its data files lie beside it.

    Raises:
        WeightsDamaged: a file is missing, cut off, damaged, or of another kind.
    """
    shards, entries = read_index(index)
    base = index.name.removesuffix(".index")
    contents: dict[int, bytes] = {}
    tensors = {}
    for name, entry in entries.items():
        if not name.startswith(prefix):
            continue
        path = index.with_name(f"{base}.data-{entry.shard:05d}-of-{shards:05d}")
        if entry.shard not in contents:
            contents[entry.shard] = _data(path)
        tensors[name] = _tensor(name, entry, contents[entry.shard], path)
    return tensors


def read_index(index: Path) -> tuple[int, Mapping[str, Entry]]:
    """Number of data files, and name -> entry.

    Raises:
        WeightsDamaged: see ``read_checkpoint``.
    """
    shards, entries = 0, {}
    try:
        for key, value in read_table(index.read_bytes(), str(index)):
            if key:
                entries[key.decode()] = _entry(value, key.decode(), index)
                continue
            header = dict(_fields(value))
            shards = int(header.get(SHARDS, 0))
            if header.get(ENDIANNESS, 0):
                raise WeightsDamaged(f"{index} was written big-endian, which isn't read here")
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise WeightsDamaged(f"{index}: an entry is damaged ({error}); get it again") from error
    if not shards:
        raise WeightsDamaged(f"{index} has no header of a checkpoint; get it again")
    return shards, entries


def _entry(message: bytes, name: str, index: Path) -> Entry:
    numbers: dict[int, int] = {}
    shape: list[int] = []
    for field, value in _fields(message):
        if field == SLICES:
            raise WeightsDamaged(f"{index}: {name} was saved in slices, which aren't read here")
        if isinstance(value, int):
            numbers[field] = value
        elif field == SHAPE:
            shape = [
                dict(_fields(dim)).get(DIM_SIZE, 0)  # type: ignore[misc]
                for number, dim in _fields(value)
                if number == DIM and isinstance(dim, bytes)
            ]
    at = [numbers.get(field, 0) for field in (SHARD, OFFSET, SIZE, CRC)]
    return Entry(numbers.get(DTYPE, 0), tuple(shape), *at)


def _tensor(name: str, entry: Entry, data: bytes, path: Path) -> NDArray[np.generic]:
    if entry.dtype not in TYPES:
        raise WeightsDamaged(f"{name} has TensorFlow's type {entry.dtype}, which isn't read here")
    dtype = np.dtype(TYPES[entry.dtype])
    raw = data[entry.offset : entry.offset + entry.size]
    if len(raw) != entry.size or entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise WeightsDamaged(f"{path} is too short for {name}; get it again")
    if google_crc32c.value(raw) != unmasked(entry.crc):
        raise WeightsDamaged(f"{path}: the checksum of {name} doesn't fit; get it again")
    return np.frombuffer(raw, dtype).reshape(entry.shape)


def _data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsDamaged(f"{path} isn't there; it belongs to the .index file") from None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of a protocol-buffer message."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(message, at)
            yield field, value
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield field, struct.unpack_from("<Q" if kind == 1 else "<I", message, at)[0]
            at += size
        elif kind == 2:
            length, at = varint(message, at)
            if at + length > len(message):
                raise IndexError("a field reaches over its message")
            yield field, message[at : at + length]
            at += length
        else:
            raise IndexError(f"unknown kind of field {kind}")
