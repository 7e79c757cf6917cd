"""Chooses, frame by frame, which of OpenFace's several faces is the one that is followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.openface.place import Span
from features.openface.table import Table
from features.openface_columns import COLUMNS_714, FACE_POINTS, GROUPS
from features.spec import Rows

_X = GROUPS["landmarks"][0]
_Y = _X + FACE_POINTS
_FACE_ID = COLUMNS_714.index("face_id")


@dataclass(frozen=True, eq=False)
class Picked:
    """One of the faces of each frame, or none.

    Attributes:
        rows: float32 ``(frames, 714)``; NaN and invalid where there is none.
        face: int64 ``(frames,)`` OpenFace's number of the face, -1 where there is none.
    """

    rows: Rows
    face: NDArray[np.int64]


def pick_rows(table: Table, track: Rows, span: Span, min_confidence: float) -> Picked:
    """The face that ``track`` follows: of those whose landmarks' centre lies in the box of the
    track, the one whose centre is nearest to the box's. Numbers of faces are slots of a tracker
    and say nothing over time.

    Args:
        track: ``(span.frames, 15)`` boxes x0 y0 x1 y1 first, in pixels of the displayed frame.
    """
    values = np.full((span.frames, len(COLUMNS_714)), np.nan, np.float32)
    face = np.full(span.frames, -1, np.int64)
    valid = np.zeros(span.frames, bool)
    fit = table.valid(min_confidence)
    centres = np.stack(
        [table.values[:, start : start + FACE_POINTS].mean(1) for start in (_X, _Y)], 1
    ).astype(np.float64)
    boxes = np.asarray(track.values, np.float64)[:, :4]
    for frame in np.flatnonzero(track.valid):
        x0, y0, x1, y1 = boxes[frame]
        rows = np.flatnonzero(table.frame == span.first + frame)
        x, y = centres[rows].T
        rows = rows[(x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)]
        if len(rows):
            away = np.hypot(*(centres[rows] - [(x0 + x1) / 2, (y0 + y1) / 2]).T)
            row = rows[np.argmin(away)]
            values[frame], valid[frame] = table.values[row], fit[row]
            number = table.values[row, _FACE_ID]
            face[frame] = int(number) if np.isfinite(number) else 0
    return Picked(Rows(values, valid, span.t0), face)


def all_faces(table: Table, span: Span) -> Rows:
    """Every face of every frame, ragged ``(faces, 714)``, by frame and then by OpenFace's number.

    A frame without a face is a valid, empty row.
    """
    inside = (table.frame >= span.first) & (table.frame < span.first + span.frames)
    frame, values = table.frame[inside] - span.first, table.values[inside]
    order = np.lexsort((values[:, _FACE_ID], frame))
    offsets = np.zeros(span.frames + 1, np.int64)
    offsets[1:] = np.cumsum(np.bincount(frame, minlength=span.frames))
    return Rows(values[order], np.ones(span.frames, bool), span.t0, offsets=offsets)
