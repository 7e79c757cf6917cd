"""Arrays of compressed chunks, and arrays in codecs that only stock Zarr knows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.layout import ArrayLayout, decode_index, index_bytes
from storage.location import Location

#: chunks from which on decoding is worth several threads
_THREADED_CHUNKS = 8
#: chunks read and decoded at once: bounds the memory that compressed bytes take
_BATCH_CHUNKS = 256
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "affectstore-decode")
        return _pool


def _forget_threads() -> None:
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_threads)


class ChunkedArray:
    """A shard of compressed chunks, local or remote: ranges of chunks are read together.

    ValueError if the index is damaged or a chunk can't be decoded.
    """

    def __init__(
        self, location: Location, key: str, layout: ArrayLayout, rows: int, file_bytes: int
    ) -> None:
        self._location, self._key, self._layout = location, key, layout
        length = index_bytes(layout.chunks(rows))
        self._index = decode_index(location.read_range(key, file_bytes - length, length))

    def read(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows ``[start, stop)``."""
        layout = self._layout
        if out is None:
            out = np.empty((stop - start, *layout.dims), layout.dtype)
        if stop > start:
            last = -(-stop // layout.chunk)
            for first in range(start // layout.chunk, last, _BATCH_CHUNKS):
                self._read_chunks(range(first, min(first + _BATCH_CHUNKS, last)), start, out)
        return out

    def _read_chunks(self, numbers: range, start: int, out: NDArray[Any]) -> None:
        entries = self._index[numbers.start : numbers.stop].astype(np.int64)
        ranges = [(int(offset), int(length)) for offset, length in entries]
        # chunks lie one after the other, so that one read fetches them all
        begin = ranges[0][0]
        data = memoryview(self._location.read_range(self._key, begin, sum(ranges[-1]) - begin))
        encoded = [bytes(data[o - begin : o - begin + n]) for o, n in ranges]
        decoded = self._decode(encoded)
        chunk = self._layout.chunk
        for number, rows in zip(numbers, decoded, strict=True):
            low = max(number * chunk, start)
            high = min((number + 1) * chunk, start + len(out))
            at = number * chunk
            out[low - start : high - start] = rows[low - at : high - at]

    def _decode(self, encoded: Sequence[bytes]) -> Iterator[NDArray[Any]]:
        if len(encoded) >= _THREADED_CHUNKS:
            return _threads().map(self._decode_one, encoded)
        return map(self._decode_one, encoded)

    def _decode_one(self, data: bytes) -> NDArray[Any]:
        rows = np.empty((self._layout.chunk, *self._layout.dims), self._layout.dtype)
        self._layout.codec.decode(data, rows)
        return rows


class ZarrArray:
    """An array in a codec that is not in our table, read by zarr-python."""

    def __init__(self, location: Location, key: str, name: str) -> None:
        import zarr

        group = zarr.open_group(location.zarr_store(key), mode="r")
        array = group[name]
        if not isinstance(array, zarr.Array):
            raise ValueError(f"{name} of {key} is no array")
        self._array = array

    def read(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows ``[start, stop)``."""
        found = np.asarray(self._array[start:stop])
        if out is None:
            return found
        out[...] = found
        return out
