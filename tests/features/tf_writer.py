"""Writes checkpoints as TensorFlow does (index table and data files), for tests of the reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
from numpy.typing import NDArray

TYPE_NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
MAGIC = 0xDB4775248B80FB57


def write_checkpoint(
    prefix: Path,
    tensors: Mapping[str, NDArray[Any]],
    *,
    shards: int = 1,
    block_bytes: int = 4096,
    compression: int = 0,
    slices: bool = False,
) -> Path:
    """PREFIX.index and PREFIX.data-…; returns the index.

    Args:
        block_bytes: size at which a block of the index is closed, so that small ones make many.
        compression, slices: lie about these, to see them refused.
    """
    files = [bytearray() for _ in range(shards)]
    records = {"": varfield(1, shards) + varfield(2, 0) + field(3, varfield(1, 1))}
    for i, name in enumerate(sorted(tensors)):
        array = tensors[name]
        raw, shard = array.tobytes(), i % shards
        dims = b"".join(field(2, varfield(1, size)) for size in array.shape)
        entry = varfield(1, TYPE_NUMBERS[array.dtype.name]) + field(2, dims)
        entry += varfield(3, shard) if shard else b""
        entry += varfield(4, len(files[shard])) if files[shard] else b""
        entry += varfield(5, len(raw)) + varint(6 << 3 | 5)
        entry += struct.pack("<I", masked(google_crc32c.value(raw)))
        records[name] = entry + (field(7, b"") if slices else b"")
        files[shard] += raw
    for shard, data in enumerate(files):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(data)
    index = prefix.with_name(f"{prefix.name}.index")
    index.write_bytes(table(records, block_bytes, compression))
    return index


def table(records: Mapping[str, bytes], block_bytes: int, compression: int) -> bytes:
    """A sorted table of those keys and values."""
    out = bytearray()

    def put(entries: list[tuple[bytes, bytes]]) -> bytes:
        contents = block(entries) + bytes([compression])
        handle = varint(len(out)) + varint(len(contents) - 1)
        out.extend(contents + struct.pack("<I", masked(google_crc32c.value(contents))))
        return handle

    handles, waiting = [], list[tuple[bytes, bytes]]()
    for key, value in sorted((k.encode(), v) for k, v in records.items()):
        waiting.append((key, value))
        if sum(len(k) + len(v) for k, v in waiting) >= block_bytes:
            handles.append((key, put(waiting)))
            waiting = []
    if waiting:
        handles.append((waiting[-1][0] + b"~", put(waiting)))
    footer = put([]) + put(handles)
    return bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def block(entries: list[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    """Keys that share prefixes, whole again at every 16th, and the places of those."""
    out, restarts, last = bytearray(), [0], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % interval == 0:
            restarts += [len(out)] if i else []
        else:
            while shared < min(len(last), len(key)) and last[shared] == key[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        last = key
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def varint(value: int) -> bytes:
    """7 bits to a byte, low ones first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def varfield(number: int, value: int) -> bytes:
    """A protocol-buffer field that holds a number."""
    return varint(number << 3) + varint(value)


def field(number: int, value: bytes) -> bytes:
    """A protocol-buffer field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(crc: int) -> int:
    """The checksum as tables keep it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
