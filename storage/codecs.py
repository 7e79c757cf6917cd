"""How a chunk becomes bytes: the table of codecs that parts may be written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.jpeg import QUALITY, decode, encode

#: zstd's level in archive parts: beyond it, time grows and float features hardly shrink
_ZSTD_LEVEL = 5
#: where a Blosc chunk says how long it is
_BLOSC_LENGTH = slice(12, 16)
#: name of the images' codec in Zarr's metadata
ZARR_JPEG = "affectstore.jpeg"


class Codec(Protocol):
    """Encodes and decodes whole chunks, and names itself in Zarr's metadata."""

    @property
    def name(self) -> str:
        """The name in the table below and in a part's attributes."""

    @property
    def plain(self) -> bool:
        """Chunks keep their length, so that every row lies at a computable byte offset."""

    @property
    def images(self) -> bool:
        """A chunk is one row, an image file."""

    def metadata(self, dtype: np.dtype[Any]) -> list[dict[str, object]]:
        """The Zarr v3 codec chain of a chunk."""

    def encode(self, chunk: NDArray[Any]) -> bytes:
        """The chunk's bytes; ``chunk`` is C-contiguous and little-endian."""

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        """Fill ``out`` (C-contiguous) with the chunk; ValueError if the bytes don't fit."""

    def encode_within(self, chunk: NDArray[Any], length: int) -> Iterator[bytes]:
        """Encodings of exactly that many bytes, to be tried: some may not decode."""


def _bytes_codec(dtype: np.dtype[Any]) -> dict[str, object]:
    if dtype.itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


@dataclass(frozen=True)
class Raw:
    """Values as they lie in memory: any Zarr reader opens it, windows are read from the file."""

    name: str = "raw"
    plain: bool = True
    images: bool = False

    def metadata(self, dtype: np.dtype[Any]) -> list[dict[str, object]]:
        return [_bytes_codec(dtype)]

    def encode(self, chunk: NDArray[Any]) -> bytes:
        return chunk.tobytes()

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        target = out.reshape(-1).view(np.uint8)
        if len(data) != target.size:
            raise ValueError(f"a chunk has {len(data)} bytes instead of {target.size}")
        target[:] = np.frombuffer(data, np.uint8)

    def encode_within(self, chunk: NDArray[Any], length: int) -> Iterator[bytes]:
        if chunk.nbytes == length:
            yield chunk.tobytes()


@dataclass(frozen=True)
class Zstd:
    """zstd over bit-shuffled values (Blosc), for archives; in Zarr's core list of codecs."""

    name: str = "zstd"
    plain: bool = False
    images: bool = False

    def metadata(self, dtype: np.dtype[Any]) -> list[dict[str, object]]:
        blosc = {
            "typesize": dtype.itemsize,
            "cname": "zstd",
            "clevel": _ZSTD_LEVEL,
            "shuffle": "bitshuffle",
            "blocksize": 0,
        }
        return [_bytes_codec(dtype), {"name": "blosc", "configuration": blosc}]

    def encode(self, chunk: NDArray[Any]) -> bytes:
        from numcodecs import blosc  # type: ignore[import-untyped,unused-ignore]

        return bytes(
            blosc.compress(chunk.reshape(-1), b"zstd", _ZSTD_LEVEL, shuffle=blosc.BITSHUFFLE)
        )

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        from numcodecs import blosc  # type: ignore[import-untyped,unused-ignore]

        size = int.from_bytes(data[4:8], "little")
        compressed = int.from_bytes(data[12:16], "little")
        # Blosc trusts its header and would read past the buffer
        if size != out.nbytes or compressed != len(data):
            raise ValueError(
                f"a chunk holds {size} bytes in {compressed} instead of {out.nbytes} in {len(data)}"
            )
        try:
            blosc.decompress(data, out.reshape(-1).view(np.uint8))
        except RuntimeError as error:
            raise ValueError(f"a chunk can't be decompressed: {error}") from error

    def encode_within(self, chunk: NDArray[Any], length: int) -> Iterator[bytes]:
        """By all settings: a chunk may grow by being emptied, seldom and by little, for one."""
        from numcodecs import blosc  # type: ignore[import-untyped,unused-ignore]

        for name in (b"zstd", b"zlib", b"lz4hc"):
            for level in (5, 9):
                for shuffle in (blosc.BITSHUFFLE, blosc.SHUFFLE, blosc.NOSHUFFLE):
                    data = bytes(blosc.compress(chunk.reshape(-1), name, level, shuffle=shuffle))
                    if len(data) <= length:
                        padded = bytearray(data.ljust(length, b"\0"))
                        # Blosc finds its blocks by their own offsets: only its header tells
                        # how long it is
                        padded[_BLOSC_LENGTH] = length.to_bytes(4, "little")
                        yield bytes(padded)


@dataclass(frozen=True)
class Jpeg:
    """One JPEG file per image, of pixels that come back as they are (``features.jpeg``)."""

    name: str = "jpeg95"
    plain: bool = False
    images: bool = True

    def metadata(self, dtype: np.dtype[Any]) -> list[dict[str, object]]:
        return [{"name": ZARR_JPEG, "configuration": {"quality": QUALITY}}]

    def encode(self, chunk: NDArray[Any]) -> bytes:
        data = encode(chunk[0])
        if not np.array_equal(decode(data), chunk[0]):
            raise ValueError(
                f"{self.name} would change the pixels of an image; an extractor that declares it "
                "passes them through features.jpeg.settled"
            )
        return data

    def decode(self, data: bytes, out: NDArray[Any]) -> None:
        image = decode(data)
        if image.shape != out.shape[1:]:
            raise ValueError(f"an image is of shape {image.shape} instead of {out.shape[1:]}")
        out[0] = image

    def encode_within(self, chunk: NDArray[Any], length: int) -> Iterator[bytes]:
        data = self.encode(chunk)
        if len(data) <= length:
            yield data.ljust(length, b"\0")


RAW = Raw()
#: name, as in a part's attributes, -> codec
CODECS: Mapping[str, Codec] = {"raw": RAW, "zstd": Zstd(), "jpeg95": Jpeg()}
