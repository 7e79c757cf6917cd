"""One clip's rows, while they are written and once they are."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from features.spec import Rows
from storage.content import ContentHash
from storage.records import Piece, Published
from storage.staged import PartMark, StagedPart


@dataclass(frozen=True, eq=False)
class StoredClip:
    """One clip's rows as they were written.

    Attributes:
        pieces: where they lie; empty for a clip without rows. Readable for others once the
            writer is closed.
        rows: number of rows (frames, segments, samples).
        valid_share: share of valid flags, 0..1.
        content: the content hash.
        digest: uint64 per row (per block for sample rate).
        bytes: bytes of values, validity, digests and offsets, before compression and padding.
        t0, step: of the first rows appended.
    """

    pieces: tuple[Piece, ...]
    rows: int
    valid_share: float
    content: str
    digest: NDArray[np.uint64]
    bytes: int
    t0: float
    step: float | None

    def published(
        self,
        corpus: str,
        clip: str,
        feature: str,
        *,
        fingerprint: str,
        extractor_key: str,
        run: str,
        time: datetime | None = None,
    ) -> Published:
        """The catalogue row of these rows: all computed just now, on this CPU, without inputs."""
        return Published(
            corpus=corpus,
            clip=clip,
            feature=feature,
            fingerprint=fingerprint,
            extractor_key=extractor_key,
            media_key=None,
            inputs={},
            content=self.content,
            rows=self.rows,
            valid_share=self.valid_share,
            t0=self.t0,
            step=self.step,
            pieces=self.pieces,
            bytes=self.bytes,
            computed=self.rows,
            reused=0,
            seconds=0.0,
            device="cpu",
            host=socket.gethostname(),
            run=run,
            time=time or datetime.now(UTC),
        )


@dataclass(eq=False)
class OpenClip:
    """The clip that is being appended, and how to take it back.

    Attributes:
        first, mark: the part that was open when the clip began, and its position then.
        pieces: runs of rows that are complete.
        part, row_start: the run that is growing.
    """

    content: ContentHash
    first: StagedPart | None
    mark: PartMark | None
    pieces: list[Piece] = field(default_factory=list)
    part: StagedPart | None = None
    row_start: int = 0
    rows: int = 0
    valid: int = 0
    flags: int = 0
    bytes: int = 0
    t0: float = 0.0
    step: float | None = None
    started: bool = False
    digests: list[NDArray[np.uint64]] = field(default_factory=list)

    def hash(self, rows: Rows) -> NDArray[np.uint64]:
        """Add rows to the content hash; their digests."""
        self.content.update(rows)
        return rows.digest

    def note(self, rows: Rows, digest: NDArray[np.uint64]) -> None:
        """Count rows that were hashed and written."""
        if not self.started:
            self.t0, self.step, self.started = rows.t0, rows.step, True
        self.rows += rows.rows
        self.valid += int(np.count_nonzero(rows.valid))
        self.flags += len(rows.valid)
        self.digests.append(digest)
        self.bytes += rows.values.nbytes + rows.valid.nbytes + digest.nbytes
        if rows.offsets is not None:
            self.bytes += 8 * rows.rows

    def open_piece(self) -> tuple[Piece, ...]:
        """The run that is growing, if there is one."""
        if self.part is None:
            return ()
        return (Piece(self.part.part, self.row_start, self.part.rows),)

    def stored(self) -> StoredClip:
        """The clip as it was written, once its last run is complete."""
        return StoredClip(
            pieces=tuple(self.pieces),
            rows=self.rows,
            valid_share=self.valid / self.flags if self.flags else 0.0,
            content=self.content.hexdigest(),
            digest=np.concatenate(self.digests or [np.zeros(0, np.uint64)]),
            bytes=self.bytes,
            t0=self.t0,
            step=self.step,
        )
