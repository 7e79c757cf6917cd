"""Reading parts: rows of a clip from its pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.location import Location
from storage.records import Piece

#: how local raw parts are read; other parts ignore it
Mode = Literal["preadv", "mmap"]


class PartReader:
    """One part, open for reading; safe to use from several threads.

    Row positions are the part's own (``Piece.row_start``): frame slots for a ragged feature.
    """

    spec: FeatureSpec
    #: the extractor's description, as its writer gave it
    description: dict[str, object]
    rows: int

    def values(
        self, row_start: int, row_stop: int, out: NDArray[np.generic] | None = None
    ) -> NDArray[np.generic]:
        """Values of rows (items, if ragged: see ``offsets``) ``[row_start, row_stop)``."""
        raise NotImplementedError

    def valid(self, row_start: int, row_stop: int) -> NDArray[np.bool_]:
        """Validity of the rows, per row or, for sample rate, per block."""
        raise NotImplementedError

    def digest(self, row_start: int, row_stop: int) -> NDArray[np.uint64]:
        """Digests of the rows, per row or, for sample rate, per block."""
        raise NotImplementedError

    def read(self, row_start: int, row_stop: int) -> Rows:
        """Rows ``[row_start, row_stop)``, with t0 0 and no step."""
        raise NotImplementedError


def open_part(location: Location, feature: str, part: str, mode: Mode = "preadv") -> PartReader:
    """The part, from this process's cache of open parts or newly opened.

    Errors: DamagedPart if a file is missing or short; WrongFormat.
    """
    raise NotImplementedError


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
    """
    raise NotImplementedError


def read_digest(location: Location, feature: str, pieces: Sequence[Piece]) -> NDArray[np.uint64]:
    """The stored digests of a clip's rows, without reading its values."""
    raise NotImplementedError
