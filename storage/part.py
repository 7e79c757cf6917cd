"""Writing parts: many clips' rows of one feature, published whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.location import Location
from storage.records import Piece


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


class PartWriter:
    """Writes clips of one feature, one after the other, into one part or several.

    Nothing is visible before ``close``. One writer belongs to one thread. As a context manager
    it closes at the end, and discards everything if an exception passes.
    """

    def __init__(
        self,
        location: Location,
        spec: FeatureSpec,
        *,
        description: Mapping[str, object],
        codec: str = "raw",
        max_bytes: int = 256 << 20,
        max_clips: int = 4096,
        staging: Path | None = None,
    ) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        """Start a clip."""
        raise NotImplementedError

    def append(self, rows: Rows) -> None:
        """Add the next rows of the open clip."""
        raise NotImplementedError

    def read(self, start: int, stop: int) -> Rows:
        """Rows ``[start, stop)`` of the open clip."""
        raise NotImplementedError

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
        raise NotImplementedError

    def finish(self) -> StoredClip:
        """Complete the open clip."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop the open clip; the clips before it stay."""
        raise NotImplementedError

    def close(self) -> tuple[str, ...]:
        """Publish the parts and return their ids; none if no rows were written."""
        raise NotImplementedError

    def discard(self) -> None:
        """Remove everything that this writer staged."""
        raise NotImplementedError

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raise NotImplementedError
