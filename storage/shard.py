"""Writing one Zarr v3 shard as a stream: chunks are appended, the index comes last."""

from __future__ import annotations

import os
from array import array
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.layout import METADATA, ArrayLayout, encode_index

#: small appends are gathered up to this size; larger ones go straight to the file
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Mark:
    """A position to which a shard can be taken back."""

    rows: int
    chunks: int
    file_bytes: int
    tail: NDArray[Any]


class ShardWriter:
    """Appends rows to one array; holds at most one chunk and its index in memory.

    Args:
        folder: the part's folder; the array's own is made below it.
    """

    def __init__(self, folder: Path, layout: ArrayLayout) -> None:
        self.layout = layout
        self.rows = 0
        #: chunk bytes in the file; without what waits in ``_tail``
        self._bytes = 0
        self._lengths = array("Q")
        self._offsets = array("Q")
        self._tail = self._empty(0)
        self._folder = folder / layout.name
        self._path = folder / layout.path
        self._path.parent.mkdir(parents=True)
        self._file = self._path.open("x+b", buffering=_BUFFER_BYTES)

    @property
    def size(self) -> int:
        """Bytes written or waiting to be."""
        return self._bytes + self._tail.nbytes

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows; ``rows`` has the layout's dtype (either byte order) and dims."""
        if not len(rows):
            return
        block = np.ascontiguousarray(rows, self.layout.dtype)
        self.rows += len(block)
        if self.layout.codec.plain:
            # chunks of a plain codec lie end to end, so rows need not wait for their chunk
            self._write(block.reshape(-1).view(np.uint8).data)
            return
        chunk = self.layout.chunk
        if len(self._tail):
            need = chunk - len(self._tail)
            self._tail = np.concatenate([self._tail, block[:need]])
            block = block[need:]
            if len(self._tail) < chunk:
                return
            self._encode(self._tail)
            self._tail = self._empty(0)
        whole = len(block) - len(block) % chunk
        for start in range(0, whole, chunk):
            self._encode(block[start : start + chunk])
        self._tail = block[whole:].copy()

    def pad(self, rows: int, value: float | int | bool | None = None) -> None:
        """Append ``rows`` rows of padding: the layout's fill, or ``value``."""
        if rows:
            padding = self._empty(rows)
            padding[...] = self.layout.fill if value is None else value
            self.append(padding)

    def mark(self) -> Mark:
        """The present position, for ``rollback``."""
        return Mark(self.rows, len(self._lengths), self._bytes, self._tail.copy())

    def rollback(self, mark: Mark) -> None:
        """Forget everything that was appended since ``mark``."""
        self._file.flush()
        self._file.truncate(mark.file_bytes)
        self._file.seek(mark.file_bytes)
        self.rows, self._bytes, self._tail = mark.rows, mark.file_bytes, mark.tail
        del self._lengths[mark.chunks :]
        del self._offsets[mark.chunks :]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``[start, stop)`` of those appended so far."""
        out = self._empty(stop - start)
        if stop <= start:
            return out
        if not self._file.closed:
            self._file.flush()
        with self._path.open("rb", buffering=0) as file:
            if self.layout.codec.plain:
                self._read_bytes(file.fileno(), start * self.layout.row_bytes, out)
            else:
                self._decode(file.fileno(), start, stop, out)
        return out

    def seal(self) -> int:
        """Pad the last chunk, write index and metadata, close; returns the file's length."""
        rows = self.rows
        self.pad(self.layout.chunks(rows) * self.layout.chunk - rows)
        self.rows = rows
        self._file.write(encode_index(self._index()))
        length = self._file.tell()
        self._file.close()
        (self._folder / METADATA).write_bytes(self.layout.metadata(rows))
        return length

    def close(self) -> None:
        """Let go of the file without completing it; it may stay short on a full disk."""
        with suppress(OSError):
            self._file.close()

    def _index(self) -> NDArray[np.uint64]:
        if self.layout.codec.plain:
            chunk = self.layout.chunk * self.layout.row_bytes
            offsets = np.arange(self._bytes // chunk, dtype=np.uint64) * np.uint64(chunk)
            return np.stack([offsets, np.full_like(offsets, chunk)], axis=1)
        return np.stack(
            [np.array(self._offsets, np.uint64), np.array(self._lengths, np.uint64)], axis=1
        )

    def _empty(self, rows: int) -> NDArray[Any]:
        return np.empty((rows, *self.layout.dims), self.layout.dtype)

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._bytes += len(data)

    def _encode(self, chunk: NDArray[Any]) -> None:
        data = self.layout.codec.encode(chunk)
        self._offsets.append(self._bytes)
        self._lengths.append(len(data))
        self._write(data)

    def _decode(self, handle: int, start: int, stop: int, out: NDArray[Any]) -> None:
        chunk = self.layout.chunk
        for number in range(start // chunk, -(-stop // chunk)):
            if number < len(self._lengths):
                whole = self._empty(chunk)
                data = os.pread(handle, self._lengths[number], self._offsets[number])
                self.layout.codec.decode(data, whole)
            else:
                whole = self._tail
            low, high = max(start, number * chunk), min(stop, (number + 1) * chunk)
            out[low - start : high - start] = whole[low - number * chunk : high - number * chunk]

    @staticmethod
    def _read_bytes(handle: int, position: int, out: NDArray[Any]) -> None:
        view = out.reshape(-1).view(np.uint8).data
        while view:
            got = os.preadv(handle, [view], position)
            if not got:
                raise EOFError("a staged part is shorter than what was written to it")
            view, position = view[got:], position + got
