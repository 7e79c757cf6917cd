"""Does a file stop in the middle? Told from the sizes that the container itself declares.

Decoders are no judge: they conceal what is missing and stop with success, and their warnings
also come for damage that is not a missing tail. So the sizes that stand in the file are
compared with its length: boxes of MP4 and MOV, the segment of Matroska and WebM, chunks of AVI
and WAV, tags of FLV, packets of MPEG program and transport streams. No decoder is started.
A file that was cut exactly between two packets of a stream without a total size (FLV, MPEG)
can't be told from a short one.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

#: boxes whose size can be believed; bytes after the last box of a file may be anything
_BOXES_OF_CONTENT = {b"moov", b"mdat", b"moof"}
_BOXES_SKIPPED = {
    b"ftyp", b"styp", b"free", b"skip", b"wide", b"pnot", b"sidx", b"ssix", b"prft",
    b"uuid", b"meta", b"udta", b"pdin", b"mfra", b"emsg",
}  # fmt: skip
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT_ID = b"\x18\x53\x80\x67"
#: what programs write that stream to a pipe and never learn the size: 0, or nearly 2 or 4 GiB
_RIFF_SIZES = range(1, 0x7FFFF000)
_FLV_TAG_TYPES = {8, 9, 18}
#: packets of transport streams: bytes of each, and where in it the sync byte stands. Plain; with
#: a time stamp before it (.m2ts, .mts of cameras and discs); with a checksum behind it
_TS_PACKETS, _TS_SYNC = ((188, 0), (192, 4), (204, 0)), 0x47


def missing_bytes(path: str) -> int:
    """Bytes that the container declares beyond the file's last byte; 0 if it is whole or unknown.

    At least this many bytes are missing. The file must exist and not be empty.
    """
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return max(0, _walker(data)(data) - len(data))


def _walker(data: mmap.mmap) -> Callable[[mmap.mmap], int]:
    head = data[:12]
    if head[4:8] in _BOXES_OF_CONTENT | _BOXES_SKIPPED:
        return _boxes_stop
    if head.startswith(_EBML_MAGIC):
        return _matroska_stop
    if head.startswith(b"RIFF"):
        return _riff_stop
    if head.startswith(b"FLV"):
        return _flv_stop
    if head.startswith(b"\x00\x00\x01\xba"):
        return _program_stream_stop
    for size, sync in _TS_PACKETS:
        if len(data) > 2 * size and all(
            data[i * size + sync] == _TS_SYNC for i in range(min(8, len(data) // size))
        ):
            return partial(_transport_stream_stop, size=size, sync=sync)
    return lambda data: 0


def _boxes_stop(data: mmap.mmap) -> int:
    """ISO 14496-12: size and type, four bytes each; size 1 = 64-bit size, 0 = to the end."""
    at = stop = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8 or kind not in _BOXES_OF_CONTENT | _BOXES_SKIPPED:
            break
        at += size
        if kind in _BOXES_OF_CONTENT:
            stop = at
    return stop


def _matroska_stop(data: mmap.mmap) -> int:
    """RFC 8794: the EBML header, then the segment; a size of all ones is unknown."""
    at = 4
    for _ in range(8):
        size, width = _ebml_size(data, at)
        if size is None:
            return 0
        at += width + size
        if data[at : at + 4] == _SEGMENT_ID:
            size, width = _ebml_size(data, at + 4)
            return 0 if size is None else at + 4 + width + size
        at += 4
    return 0


def _ebml_size(data: mmap.mmap, at: int) -> tuple[int | None, int]:
    """Value (None = unknown) and width of the variable-length size at a position."""
    if at >= len(data) or data[at] == 0:
        return None, 1
    width = 9 - data[at].bit_length()
    raw = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if raw == (1 << 7 * width) - 1 else raw), width


def _riff_stop(data: mmap.mmap) -> int:
    """RIFF chunks, one after the other (large AVI files have several)."""
    at = stop = 0
    while at + 8 <= len(data) and data[at : at + 4] == b"RIFF":
        (size,) = struct.unpack_from("<I", data, at + 4)
        if size not in _RIFF_SIZES:
            break
        at += 8 + size + size % 2
        # The padding byte after an odd chunk is often left out at a file's end.
        stop = at - size % 2
    return stop


def _flv_stop(data: mmap.mmap) -> int:
    """FLV 10.1: each tag has type, 24-bit size and 7 more bytes, then its size once more."""
    at = int.from_bytes(data[5:9], "big") + 4
    stop = 0
    while at < len(data) and data[at] & 0x1F in _FLV_TAG_TYPES:
        if at + 11 > len(data):
            return at + 11
        stop = at + 11 + int.from_bytes(data[at + 1 : at + 4], "big")
        at = stop + 4
    return at if stop < len(data) < at else stop


def _program_stream_stop(data: mmap.mmap) -> int:
    """ISO 13818-1 and 11172-1: pack headers, then packets with a 16-bit length."""
    at = stop = 0
    while at + 14 <= len(data) and data[at : at + 3] == b"\x00\x00\x01":
        kind = data[at + 3]
        if kind == 0xBA:
            mpeg2 = data[at + 4] >> 6 == 1
            at += 14 + (data[at + 13] & 7) if mpeg2 else 12
        elif kind >= 0xBB:
            at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
            stop = at
        else:
            break
    return stop


def _transport_stream_stop(data: mmap.mmap, *, size: int, sync: int) -> int:
    """ISO 13818-1: packets of one size; only a file that keeps step to its end is judged."""
    whole, rest = divmod(len(data), size)
    places = [(whole - 1) * size + sync, whole * size + sync]
    in_step = rest and all(data[place] == _TS_SYNC for place in places if place < len(data))
    return (whole + 1) * size if in_step else 0
