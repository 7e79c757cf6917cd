"""From a clip's rows to the rows of its pieces, and back to one ``Rows``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.spec import FeatureSpec, Rows
from storage.records import Piece

#: a run of rows of one part
Span = Piece


def spans(pieces: Sequence[Piece], start: int, stop: int | None, block: int = 1) -> list[Span]:
    """The runs of part rows that hold the clip's rows ``[start, stop)``, clamped to its rows.

    ValueError if ``start`` is negative, or not on a border of ``block`` rows.
    """
    if start < 0 or start % block:
        raise ValueError(f"start {start} is not on a border of {block} rows from 0 on")
    found: list[Span] = []
    position = 0
    for piece in pieces:
        length = piece.row_stop - piece.row_start
        low = max(start - position, 0)
        high = length if stop is None else min(stop - position, length)
        if low < high:
            found.append(Span(piece.part, piece.row_start + low, piece.row_start + high))
        position += length
    return found


def place(
    spec: FeatureSpec, found: Sequence[Rows], start: int, t0: float, step: float | None
) -> Rows:
    """One ``Rows`` of consecutive runs, with the time of the clip's row ``start``."""
    if step is not None:
        t0 += start * step
    if not found:
        return spec.empty(t0=t0, step=step)
    rows = Rows.concat(found)
    return rows if rows.t0 == t0 and rows.step == step else replace(rows, t0=t0, step=step)
