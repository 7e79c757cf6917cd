"""Writing parts: many clips' rows of one feature, published whole or not at all."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.codecs import CODECS
from storage.content import ContentHash
from storage.layout import PartLayout, new_part_id, part_key
from storage.local import STAGING_PREFIX, writing
from storage.location import Location
from storage.pieces import Span, place, spans
from storage.reader import read_pieces
from storage.records import Piece
from storage.staged import StagedPart
from storage.stored import OpenClip, StoredClip

__all__ = ["PartWriter", "StoredClip"]

#: appends of at least so many bytes are hashed on a thread of their own
_HASHED_ASIDE = 1 << 16


class PartWriter:
    """Writes clips of one feature, one after the other, into one part or several.

    Parts are staged beside their final place (a remote store's in a temporary folder) and
    nothing is visible before ``close``. One writer belongs to one thread. As a context manager
    it closes at the end, and discards everything if an exception passes.

    Args:
        location: the store's root.
        spec: the feature.
        description: kept in the parts' attributes; must be JSON.
        codec: "raw", "zstd" for archives, "jpeg95" for settled images; the spec's own if None.
        max_bytes, max_clips: a part that has reached either is followed by a new one; a clip
            that is longer than the rest continues there.
        staging: folder in which to stage instead.

    Errors: ValueError for an unknown codec, rows that don't fit the spec, or calls out of
    order; StoreFull and ReadOnlyStore where the system refuses to write.
    """

    def __init__(
        self,
        location: Location,
        spec: FeatureSpec,
        *,
        description: Mapping[str, object],
        codec: str | None = None,
        max_bytes: int = 256 << 20,
        max_clips: int = 4096,
        staging: Path | None = None,
    ) -> None:
        codec = codec or spec.codec
        if codec not in CODECS:
            raise ValueError(f"codec {codec!r} is unknown: choose one of {', '.join(CODECS)}")
        if CODECS[codec].images and (spec.dtype != "uint8" or spec.dims[2:] != (3,) or spec.ragged):
            raise ValueError(f"{codec} holds one uint8 RGB image a row; {spec.name} has none")
        json.dumps(dict(description), allow_nan=False)  # better now than after hours of work
        self._location, self._spec = location, spec
        self._layout = PartLayout(spec, CODECS[codec])
        self._description = dict(description)
        self._max_bytes, self._max_clips = max_bytes, max_clips
        self._staging = staging
        self._folder: Path | None = None
        self._parts: dict[str, StagedPart] = {}
        self._sealed: set[str] = set()
        self._part: StagedPart | None = None
        self._clip: OpenClip | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._state = "open"

    def begin(self) -> None:
        """Start a clip."""
        self._need(clip=False)
        part = self._part
        full = part is not None and (part.clips >= self._max_clips or part.size >= self._max_bytes)
        if part is not None and full:
            self._seal(part)
            part = self._part = None
        mark = part.mark() if part is not None else None
        self._clip = OpenClip(ContentHash.of(self._spec), part, mark)

    def append(self, rows: Rows) -> None:
        """Add the next rows of the open clip.

        For sample rate, whole blocks of 65,536 except in the last call.
        """
        clip = self._need(clip=True)
        self._check(rows, clip)
        hashing = self._hash(clip, rows)
        try:
            with writing(self._root):
                start = 0
                while start < rows.rows:
                    start += self._append_some(clip, rows, start, hashing)
        finally:
            digest = hashing.result()
        clip.note(rows, digest)

    @property
    def rows(self) -> int:
        """Rows of the open clip so far."""
        return self._need(clip=True).rows

    @property
    def content(self) -> str:
        """The content hash of the open clip's rows so far."""
        return self._need(clip=True).content.hexdigest()

    def read(self, start: int, stop: int) -> Rows:
        """Rows ``[start, stop)`` of the open clip; they are clamped to those appended."""
        clip = self._need(clip=True)
        pieces = (*clip.pieces, *clip.open_piece())
        return self._read_staged(pieces, start, stop, clip.t0, clip.step)

    def read_pieces(
        self,
        pieces: Sequence[Piece],
        start: int = 0,
        stop: int | None = None,
        *,
        t0: float = 0.0,
        step: float | None = None,
    ) -> Rows:
        """Rows ``[start, stop)`` of a clip that this writer finished, before or after close."""
        if self._state == "closed":
            return read_pieces(
                self._location,
                self._spec.name,
                pieces,
                start,
                stop,
                spec=self._spec,
                t0=t0,
                step=step,
            )
        return self._read_staged(pieces, start, stop, t0, step)

    def finish(self) -> StoredClip:
        """Complete the open clip."""
        clip = self._need(clip=True)
        with writing(self._root):
            self._stop_piece(clip)
            for part in self._parts.values():
                if part is not self._part:
                    self._seal(part)
        self._clip = None
        return clip.stored()

    def abort(self) -> None:
        """Drop the open clip; the clips before it stay."""
        clip = self._need(clip=True)
        touched = {p.part for p in (*clip.pieces, *clip.open_piece())}
        kept = clip.first.part if clip.first is not None else None
        for name in touched - {kept}:
            part = self._parts.pop(name)
            self._sealed.discard(name)
            part.close()
            shutil.rmtree(part.folder)
        if clip.first is not None and clip.mark is not None:
            with writing(self._root):
                clip.first.rollback(clip.mark)
        self._part, self._clip = clip.first, None

    def close(self) -> tuple[str, ...]:
        """Publish the parts and return their ids; none if no rows were written.

        Each part appears by one rename (remotely: by the upload of its ``zarr.json``). A second
        call does nothing.
        """
        if self._state != "open":
            return ()
        self._need(clip=False)
        with writing(self._root):
            for part in self._parts.values():
                self._seal(part)
            for name, part in self._parts.items():
                self._location.put_tree(part.folder, part_key(self._spec.name, name))
            self._remove_staging()
        self._state = "closed"
        return tuple(self._parts)

    def discard(self) -> None:
        """Remove everything that this writer staged; nothing happens once it is closed."""
        if self._state != "open":
            return
        self._state, self._clip = "discarded", None
        for part in self._parts.values():
            part.close()
        self._remove_staging()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self.discard()

    @property
    def _root(self) -> Path:
        return self._folder or Path(self._location.url)

    def _need(self, *, clip: bool) -> OpenClip:
        if self._state != "open":
            raise ValueError(f"this writer of {self._spec.name} is {self._state}")
        if clip != (self._clip is not None):
            what = "no clip is open: call begin()" if clip else "a clip is open: finish() it first"
            raise ValueError(f"{self._spec.name}: {what}")
        return self._clip  # type: ignore[return-value]

    def _check(self, rows: Rows, clip: OpenClip) -> None:
        spec = self._spec
        if (
            rows.values.shape[1:] != spec.dims
            or rows.values.dtype.name != np.dtype(spec.dtype).name
        ):
            raise ValueError(
                f"{spec.name} takes {spec.dtype} rows of shape {spec.dims}, "
                f"not {rows.values.dtype.name} of {rows.values.shape[1:]}"
            )
        if (rows.offsets is not None) != spec.ragged:
            raise ValueError(f"{spec.name} takes {'' if spec.ragged else 'no '}offsets")
        if rows.block != spec.block and rows.rows:
            raise ValueError(f"{spec.name} has one flag per {spec.block} rows, not {rows.block}")
        if clip.rows % spec.block and rows.rows:
            raise ValueError(f"{spec.name}: only the last rows may break a block of {spec.block}")

    def _hash(self, clip: OpenClip, rows: Rows) -> Future[NDArray[np.uint64]]:
        """The rows' digests, to come: hashing takes as long as writing and runs beside it."""
        if rows.values.nbytes < _HASHED_ASIDE:
            done: Future[NDArray[np.uint64]] = Future()
            done.set_result(clip.hash(rows))
            return done
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "affectstore-hash")
        return self._thread.submit(clip.hash, rows)

    def _append_some(
        self, clip: OpenClip, rows: Rows, start: int, hashing: Future[NDArray[np.uint64]]
    ) -> int:
        """Append as many of the rows from ``start`` on as the part takes; how many."""
        part = clip.part or self._part
        if part is None:
            part = self._part = self._new_part()
        fresh = part.rows == 0
        count = part.fitting(rows, start, self._max_bytes - part.size)
        if count <= 0 and not fresh:
            self._leave(clip, part)
            return 0
        count = min(max(count, self._layout.align if count <= 0 else 1), rows.rows - start)
        if clip.part is None:
            clip.part, clip.row_start = part, part.rows
            part.start_piece()
        stop, block = start + count, self._spec.block
        part.append(rows.slice(start, stop))
        part.append_digest(hashing.result()[start // block : -(-stop // block)])
        return count

    def _leave(self, clip: OpenClip, part: StagedPart) -> None:
        self._stop_piece(clip)
        # what abort() would have to take back stays open until the clip is finished
        if part is not clip.first:
            self._seal(part)
        self._part = None

    def _stop_piece(self, clip: OpenClip) -> None:
        if clip.part is not None:
            clip.pieces += clip.open_piece()
            clip.part.stop_piece()
            clip.part.clips += 1
            clip.part = None

    def _new_part(self) -> StagedPart:
        if self._folder is None:
            self._folder = self._make_folder()
        name = new_part_id()
        part = StagedPart(self._folder / f"{name}.zarr", name, self._layout)
        self._parts[name] = part
        return part

    def _make_folder(self) -> Path:
        if self._staging is None and self._location.is_local:
            above = (self._location.path / part_key(self._spec.name, "")).parent
            folder = above / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
            folder.mkdir(parents=True)
            return folder
        return Path(tempfile.mkdtemp(prefix="affectstore-", dir=self._staging))

    def _seal(self, part: StagedPart) -> None:
        if part.part not in self._sealed:
            part.seal(self._description)
            self._sealed.add(part.part)

    def _remove_staging(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read_staged(
        self,
        pieces: Sequence[Piece],
        start: int,
        stop: int | None,
        t0: float,
        step: float | None,
    ) -> Rows:
        def read(span: Span) -> Rows:
            return self._parts[span.part].read(span.row_start, span.row_stop)

        found = [read(span) for span in spans(pieces, start, stop, self._spec.block)]
        return place(self._spec, found, start, t0, step)
