"""Places OpenFace's rows on the clip's timeline, by frame number.

OpenFace counts the frames that OpenCV decodes; its timestamps are (frame - 1) / average rate and
wrong where the rate varies. The timeline's own frames are the truth.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.openface.errors import BadCsv, RowsMismatch
from features.openface.table import Table
from features.openface_columns import COLUMNS_714
from features.spec import Rows

log = logging.getLogger(__name__)

Rule = Literal["pad", "fail"]


@dataclass(frozen=True)
class Span:
    """Which frames of the file are the clip's.

    Attributes:
        first: the file's frame, from 0, that is the clip's first.
        frames: frames of the clip.
        total: frames of the whole file.
        t0: container seconds of the clip's first frame.
    """

    first: int
    frames: int
    total: int
    t0: float


@dataclass(frozen=True)
class Placing:
    """How rows become valid and what happens where some are lacking.

    Attributes:
        min_confidence: least confidence of a valid row.
        rule: ``pad``: frames without a row are NaN and invalid, rows without a frame are left
            out, with a warning; ``fail``: another number of rows than of frames is an error.
        max_lacking: largest share of frames that ``pad`` makes up for.
    """

    min_confidence: float
    rule: Rule
    max_lacking: float


def place_rows(name: str, table: Table, span: Span, placing: Placing) -> Rows:
    """float32 ``(span.frames, 714)``, raw even where invalid; one row per entry of the timeline.

    Raises:
        RowsMismatch: too few or too many rows for the rule.
        BadCsv: several rows of one frame.
    """
    if len(np.unique(table.frame)) != len(table.frame):
        twice = int(table.frame[np.flatnonzero(np.diff(np.sort(table.frame)) == 0)[0]]) + 1
        raise BadCsv(
            f"{name}: several rows of frame {twice}: the output for several faces; use the "
            "feature openface_multi"
        )
    check_count(name, table, span, placing)
    values = np.full((span.frames, len(COLUMNS_714)), np.nan, np.float32)
    valid = np.zeros(span.frames, bool)
    inside = (table.frame >= span.first) & (table.frame < span.first + span.frames)
    to = table.frame[inside] - span.first
    values[to] = table.values[inside]
    valid[to] = table.valid(placing.min_confidence)[inside]
    return Rows(values, valid, span.t0)


def check_count(name: str, table: Table, span: Span, placing: Placing) -> None:
    """Apply the rule for another number of rows than of frames (of the whole file).

    Raises:
        RowsMismatch: the rule is ``fail``, or ``pad`` and too many are lacking.
    """
    rows, frames = len(table.frame), span.total
    outside = int((table.frame >= frames).sum())
    if rows == frames and not outside:
        return
    said = f"{name}: OpenFace has {rows} rows, the timeline {frames} frames"
    if not table.numbered:
        raise RowsMismatch(
            f"{said}, and the file doesn't number its rows, so they can't be placed; run OpenFace "
            "again, or import its own CSV"
        )
    lacking = max(frames - (rows - outside), outside)
    if placing.rule == "fail" or lacking > placing.max_lacking * frames:
        allowed = f"at most {placing.max_lacking:.0%} may be lacking (openface.max_lacking)"
        raise RowsMismatch(
            f"{said}; {'openface.rows=fail forbids it' if placing.rule == 'fail' else allowed}: "
            "re-encode the file at a constant rate, or run OpenFace again"
        )
    log.warning("%s; frames without a row are invalid", said)
