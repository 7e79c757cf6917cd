"""Reading parts: rows of a clip from its pieces."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.chunked import ChunkedArray, ZarrArray
from storage.errors import DamagedPart
from storage.layout import METADATA, ArrayLayout, PartHeader, part_key
from storage.location import Location
from storage.pieces import place, spans
from storage.raw import ArraySource, MappedFile, RawFile, RawObject
from storage.records import Piece

#: how local raw parts are read; other parts ignore it
Mode = Literal["preadv", "mmap"]

#: a part holds up to four files open; parts together take a quarter of what the process may open
OPEN_PARTS = max(16, min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 16))


class PartReader:
    """One part, open for reading; safe to use from several threads.

    Row positions are the part's own (``Piece.row_start``): frame slots for a ragged feature.
    Files are opened when first needed and closed when nobody holds the reader any more. Every
    method raises DamagedPart if a file is missing, short or undecodable.

    Attributes:
        spec: the feature.
        description: the extractor's description, as its writer gave it.
        rows: rows (frame slots, samples) of the part, padding included.
    """

    def __init__(self, location: Location, feature: str, part: str, mode: Mode = "preadv") -> None:
        self._location, self._mode = location, mode
        self.feature, self.part = feature, part
        self._key = part_key(feature, part)
        self._sources: dict[str, ArraySource] = {}
        with self.reading():
            document = location.read_bytes(f"{self._key}/{METADATA}")
            header = PartHeader.parse(document, self._key)
        if header.spec.name != feature:
            raise self.damaged(f"is damaged (zarr.json speaks of {header.spec.name})")
        self.header = header
        self.spec, self.description = header.spec, header.description
        self.rows = header.rows["offsets" if header.spec.ragged else "values"]

    def values(
        self, row_start: int, row_stop: int, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Values of rows (items, if ragged: see ``offsets``) ``[row_start, row_stop)``.

        Args:
            out: C-contiguous, of the result's shape and dtype; filled and returned. ValueError
                if it is another.
        """
        wanted = (row_stop - row_start, *self.spec.dims)
        if out is not None and (out.shape != wanted or out.dtype != np.dtype(self.spec.dtype)):
            raise ValueError(
                f"out must be {self.spec.dtype} of shape {wanted}, not {out.dtype} of {out.shape}"
            )
        with self.reading():
            return self.source("values").read(row_start, row_stop, out)

    def valid(self, row_start: int, row_stop: int) -> NDArray[np.bool_]:
        """Validity of the rows, per row or, for sample rate, per block."""
        return self._entries("valid", row_start, row_stop)

    def digest(self, row_start: int, row_stop: int) -> NDArray[np.uint64]:
        """Digests of the rows, per row or, for sample rate, per block."""
        return self._entries("digest", row_start, row_stop)

    def offsets(self, row_start: int, row_stop: int) -> NDArray[np.int64]:
        """Ragged: where the rows' items begin in the part, and where the last ones stop."""
        with self.reading():
            return self.source("offsets").read(row_start, row_stop + 1)

    def read(self, row_start: int, row_stop: int) -> Rows:
        """Rows ``[row_start, row_stop)``, with t0 0 and no step."""
        if row_stop > self.rows:
            raise self.damaged(f"has {self.rows} rows, the catalogue names row {row_stop}")
        valid = self.valid(row_start, row_stop)
        if not self.spec.ragged:
            return Rows(self.values(row_start, row_stop), valid, block=self.spec.block)
        bounds = self.offsets(row_start, row_stop)
        first, last = int(bounds[0]), int(bounds[-1])
        if not 0 <= first <= last <= self.header.rows["values"] or np.any(np.diff(bounds) < 0):
            raise self.damaged("has offsets that point nowhere")
        return Rows(self.values(first, last), valid, offsets=bounds - first)

    def source(self, name: str) -> ArraySource:
        """One of the part's arrays, opened if need be."""
        source = self._sources.get(name)
        if source is None:
            # two threads may both open it: the dictionary keeps one, the other is closed
            source = self._sources.setdefault(name, self._open(name))
        return source

    def damaged(self, what: str) -> DamagedPart:
        """The error to raise when the part doesn't hold what it should."""
        return DamagedPart(
            f"part {self.part} of {self.feature} {what}: "
            "`affectstore verify` lists the clips to extract again"
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what files and codecs say into DamagedPart."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise self.damaged("is missing, or one of its files") from error
        except (EOFError, ValueError) as error:
            raise self.damaged(f"is damaged ({error})") from error
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise self.damaged(f"is damaged ({os.strerror(errno.EIO)}: see to the disk)") from error

    def _entries(self, name: str, row_start: int, row_stop: int) -> NDArray[Any]:
        block = self.spec.block
        with self.reading():
            return self.source(name).read(row_start // block, -(-row_stop // block))

    def _open(self, name: str) -> ArraySource:
        header = self.header
        if not header.known_codec:
            return ZarrArray(self._location, self._key, name)
        layout: ArrayLayout = getattr(header.layout, name)
        rows, size = header.rows[name], header.file_bytes[name]
        key = f"{self._key}/{layout.path}"
        if not layout.codec.plain:
            return ChunkedArray(self._location, key, layout, rows, size)
        if not self._location.is_local:
            return RawObject(self._location, key, layout)
        path = self._location.path / key
        if self._mode == "mmap" and name == "values":
            return MappedFile(path, layout, size, rows)
        return RawFile(path, layout, size)


class OpenParts:
    """The parts that were read last.

    Args:
        limit: how many are kept open; what somebody holds stays open besides.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Start empty; a forked child does, for its parent may have held the lock."""
        self._lock = threading.Lock()
        self._parts: OrderedDict[tuple[Location, str, str, Mode], PartReader] = OrderedDict()

    def get(self, location: Location, feature: str, part: str, mode: Mode) -> PartReader:
        """The part, newly opened if need be."""
        key = (location, feature, part, mode)
        with self._lock:
            reader = self._parts.get(key)
            if reader is not None:
                self._parts.move_to_end(key)
                return reader
        reader = PartReader(location, feature, part, mode)
        with self._lock:
            reader = self._parts.setdefault(key, reader)
            while len(self._parts) > self._limit:
                self._parts.popitem(last=False)
        return reader


_open_parts = OpenParts(OPEN_PARTS)
os.register_at_fork(after_in_child=_open_parts.forget)


def open_part(location: Location, feature: str, part: str, mode: Mode = "preadv") -> PartReader:
    """The part, from this process's cache of open parts or newly opened.

    Errors: DamagedPart if it is missing or isn't a part; WrongFormat.
    """
    return _open_parts.get(location, feature, part, mode)


def read_pieces(
    location: Location,
    feature: str,
    pieces: Sequence[Piece],
    start: int = 0,
    stop: int | None = None,
    *,
    spec: FeatureSpec | None = None,
    t0: float = 0.0,
    step: float | None = None,
    mode: Mode = "preadv",
) -> Rows:
    """Rows ``[start, stop)`` of the clip that lies in ``pieces``.

    Args:
        location: the store's root.
        start, stop: the clip's rows; they are clamped to those that exist. For sample rate,
            ``start`` must lie on a block border, as in ``Rows.slice``.
        spec: needed only for a clip without pieces (no rows): else the part tells.
        t0, step: of the clip's first row; the result's t0 is moved on by ``start * step``.
        mode: how local raw parts are read; with "mmap" the values may be a read-only view.

    Errors: DamagedPart; ValueError for a start off a block border, or without spec and pieces.
    """
    if pieces:
        spec = open_part(location, feature, pieces[0].part, mode).spec
    if spec is None:
        raise ValueError(f"{feature}: a clip without pieces can't be read without its spec")
    found = [
        open_part(location, feature, span.part, mode).read(span.row_start, span.row_stop)
        for span in spans(pieces, start, stop, spec.block)
    ]
    return place(spec, found, start, t0, step)


def check_digests(
    location: Location, feature: str, pieces: Sequence[Piece], start: int, rows: Rows
) -> None:
    """Compare a clip's rows from ``start`` on with the digests that were stored with them.

    For sample rate, whole blocks, the clip's last one excepted.

    Errors: DamagedPart.
    """
    first = 0
    for span in spans(pieces, start, start + rows.rows, rows.block):
        part = open_part(location, feature, span.part)
        stored = part.digest(span.row_start, span.row_stop)
        if not np.array_equal(stored, rows.digest[first : first + len(stored)]):
            raise part.damaged("has rows that differ from their digests")
        first += len(stored)


def read_digest(location: Location, feature: str, pieces: Sequence[Piece]) -> NDArray[np.uint64]:
    """The stored digests of a clip's rows, without reading its values."""
    found = [
        open_part(location, feature, piece.part).digest(piece.row_start, piece.row_stop)
        for piece in pieces
    ]
    return np.concatenate(found) if found else np.zeros(0, np.uint64)
