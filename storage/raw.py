"""Arrays whose rows lie at computable byte offsets: read in place, without any decoding."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from storage.layout import ArrayLayout
from storage.location import Location


class ArraySource(Protocol):
    """One array of a part, open for reading."""

    def read(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows ``[start, stop)``, into ``out`` (C-contiguous, of that shape) if given.

        Errors: EOFError or ValueError if the file doesn't hold them.
        """


def open_file(path: Path, length: int) -> int:
    """A file descriptor; EOFError if the file hasn't the length that its writer noted."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    found = os.fstat(handle).st_size
    if found != length:
        os.close(handle)
        raise EOFError(f"{path.name} of {path.parts[-3]} has {found} bytes instead of {length}")
    return handle


def fill(handle: int, position: int, out: NDArray[Any]) -> None:
    """Read a file straight into ``out``; EOFError if it ends too early."""
    size = out.nbytes
    done = os.preadv(handle, [out.data], position) if size else 0
    if done == size:
        return
    view = out.reshape(-1).view(np.uint8).data
    while done < size:  # the kernel hands out at most 2 GiB at once
        got = os.preadv(handle, [view[done:]], position + done)
        if not got:
            raise EOFError(f"the file ends {size - done} bytes too early")
        done += got


class RawFile:
    """A local file, read by ``preadv`` into the caller's buffer."""

    def __init__(self, path: Path, layout: ArrayLayout, file_bytes: int) -> None:
        self.dtype, self.dims, self.row_bytes = layout.dtype, layout.dims, layout.row_bytes
        self.handle = -1
        self.handle = open_file(path, file_bytes)

    def read(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows ``[start, stop)``."""
        if out is None:
            out = np.empty((stop - start, *self.dims), self.dtype)
        fill(self.handle, start * self.row_bytes, out)
        return out

    def __del__(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)


class MappedFile:
    """A local file, mapped into memory; without ``out``, ``read`` gives a read-only view."""

    def __init__(self, path: Path, layout: ArrayLayout, file_bytes: int, rows: int) -> None:
        handle = open_file(path, file_bytes)
        try:
            mapping = mmap.mmap(handle, file_bytes, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)
        count = rows * int(np.prod(layout.dims, dtype=np.int64))
        #: all rows of the part
        self.array = np.frombuffer(mapping, layout.dtype, count).reshape(rows, *layout.dims)

    def read(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows ``[start, stop)``."""
        found = self.array[start:stop]
        if out is None:
            return found
        out[...] = found
        return out


class RawObject:
    """A remote object, read by byte ranges."""

    def __init__(self, location: Location, key: str, layout: ArrayLayout) -> None:
        self._location, self._key = location, key
        self._layout = layout

    def read(self, start: int, stop: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rows ``[start, stop)``."""
        layout = self._layout
        if out is None:
            out = np.empty((stop - start, *layout.dims), layout.dtype)
        if out.nbytes:
            data = self._location.read_range(self._key, start * layout.row_bytes, out.nbytes)
            out[...] = np.frombuffer(data, layout.dtype).reshape(out.shape)
        return out
