"""Reads TensorFlow's sorted tables (the .index file of a checkpoint) without TensorFlow.

The format is LevelDB's: blocks of keys that share prefixes, a block that names the blocks, and a
footer that names that one. Lengths are varints, numbers little-endian, checksums masked CRC-32C.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import google_crc32c

from features.errors import WeightsDamaged

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
#: bytes behind each block: its kind of compression and its checksum
TRAILER = 5
MASK_DELTA = 0xA282EAD8


def read_table(data: bytes, what: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in order; ``what`` names the file in errors.

    Raises:
        WeightsDamaged: it is no such table, is cut off, or a checksum doesn't fit.
    """
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise WeightsDamaged(f"{what} is no index of a TensorFlow checkpoint; get it again")
    try:
        _, at = _handle(data, len(data) - FOOTER)
        names, _ = _handle(data, at)
        for _, value in _entries(_block(data, names, what)):
            place, _ = _handle(value, 0)
            yield from _entries(_block(data, place, what))
    except (IndexError, struct.error) as error:
        raise WeightsDamaged(f"{what} is cut off or damaged ({error}); get it again") from error


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, 7 bits to a byte, low ones first, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise IndexError("a number has more than 64 bits")


def unmasked(crc: int) -> int:
    """The checksum behind its mask, which keeps checksums of checksums apart."""
    rotated = (crc - MASK_DELTA) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the place behind them."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: bytes, handle: tuple[int, int], what: str) -> bytes:
    offset, size = handle
    stop = offset + size
    if stop + TRAILER > len(data):
        raise IndexError("a block reaches over the end")
    if data[stop] != 0:
        raise WeightsDamaged(
            f"{what} is compressed (kind {data[stop]}), which TensorFlow's savers don't do; "
            "save the checkpoint again without compression"
        )
    known = unmasked(struct.unpack_from("<I", data, stop + 1)[0])
    if google_crc32c.value(data[offset : stop + 1]) != known:
        raise WeightsDamaged(f"{what}: a block's checksum doesn't fit; get the file again")
    return data[offset:stop]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; a key is a prefix of the one before and a rest of its own."""
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    stop = len(block) - 4 * (restarts + 1)
    if stop < 0:
        raise IndexError("a block has more restarts than bytes")
    at, key = 0, b""
    while at < stop:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + own + length > stop:
            raise IndexError("an entry reaches over its block")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length
