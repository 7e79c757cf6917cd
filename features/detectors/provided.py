"""Boxes that a corpus brings: a table of one clip's detections, made by whomever."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.box_size import too_large
from features.errors import BadBoxes
from features.mtcnn.detector import Detections

#: roles of a clip's files in which the table may lie; ``faces`` may be a folder of images too
ROLES = ("boxes", "faces")
BOX = ("x0", "y0", "x1", "y1")
POINTS = tuple(
    f"{point}_{axis}"
    for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    for axis in "xy"
)
REMEDY = (
    "it is a CSV with the columns frame (from 0), x0, y0, x1, y1, and may have score and points"
)


@dataclass(frozen=True, eq=False)
class Provided:
    """One clip's detections, by frame.

    Attributes:
        frames: int64 ``(n,)``, rising.
        boxes: float32 ``(n, 4)`` px; scores: ``(n,)``, 1 where the table has none.
        points: float32 ``(n, 5, 2)`` px, NaN where the table has none.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]

    def check(self, path: str, height: int, width: int) -> None:
        """A look whether faces in frames of that size can be as large as these.

        Raises:
            BadBoxes: one can't.
        """
        corners = self.boxes.reshape(-1, 2, 2)
        for what, places in (("box", corners), ("face by its points", self.points)):
            sides = np.ptp(places, axis=1).max(1)
            for i in np.flatnonzero(too_large(sides, height, width))[:1]:
                raise BadBoxes(
                    f"{path}: frame {self.frames[i]} has a {what} of {sides[i]:g} px, in pictures "
                    f"of {width} x {height}; places are in pixels of the displayed frame"
                )

    def between(self, start: int, count: int) -> Detections:
        """Those of frames ``[start, start + count)``, counted from ``start``."""
        some = slice(*np.searchsorted(self.frames, (start, start + count)))
        return Detections(
            self.frames[some] - start, self.boxes[some], self.scores[some], self.points[some]
        )


def table_of(assets: Mapping[str, str], clip: str) -> str:
    """The path of a clip's table of boxes.

    Raises:
        BadBoxes: the clip has none.
    """
    for role in ROLES:
        path = assets.get(role)
        if path is not None and not os.path.isdir(path):
            return path
    if "faces" in assets:
        raise BadBoxes(
            f"{clip}: its provided faces are a folder of images, which faces_provided reads; "
            "faces.backend=provided needs a table, as column asset.boxes of the corpus's table"
        )
    raise BadBoxes(
        f"{clip} has no provided boxes; name its table as column asset.boxes of the corpus's "
        "table, or use another faces.backend"
    )


def read_boxes(path: str) -> Provided:
    """A table of detections; rows in any order.

    Raises:
        BadBoxes: it can't be read, lacks a column, or holds what is no number.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadBoxes(f"{path} can't be read: {error}; {REMEDY}") from None
    missing = [name for name in ("frame", *BOX) if name not in columns]
    if missing:
        raise BadBoxes(f"{path} lacks the columns {', '.join(missing)}; {REMEDY}")
    if wrong := _misspelt(columns):
        raise BadBoxes(f"{path}: {wrong}; {REMEDY}")
    frames = np.array([_number(path, i, row["frame"]) for i, row in enumerate(rows, 2)])
    if not ((frames >= 0) & (frames < 2**53) & (frames == np.rint(frames))).all():
        raise BadBoxes(f"{path}: a frame is no whole number from 0 on; {REMEDY}")
    order = np.argsort(frames, kind="stable")

    def cells(names: tuple[str, ...], default: float) -> NDArray[np.float32]:
        if any(name not in columns for name in names):
            return np.full((len(rows), len(names)), default, np.float32)
        found = [[_number(path, i, row[n]) for n in names] for i, row in enumerate(rows, 2)]
        return np.array(found, np.float32).reshape(len(rows), len(names))[order]

    boxes = cells(BOX, np.nan)
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise BadBoxes(f"{path}: a box has no area; x0, y0 is its left upper corner")
    return Provided(
        frames[order].astype(np.int64),
        boxes,
        cells(("score",), 1.0)[:, 0],
        cells(POINTS, np.nan).reshape(-1, 5, 2),
    )


def _misspelt(columns: Sequence[str]) -> str | None:
    """What of the optional columns would silently be passed over."""
    lost = [name for name in POINTS if name not in columns]
    if lost and len(lost) < len(POINTS):
        return f"of the points' {len(POINTS)} columns {', '.join(lost)} are missing"
    known = {_plain(name): name for name in ("score", *POINTS)}
    for column in columns:
        meant = known.get(_plain(column))
        if meant is not None and meant not in columns:
            return f"the column {column!r} has to be named {meant}"
    return None


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _number(path: str, line: int, cell: str | None) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise BadBoxes(f"{path}, line {line}: {cell!r} is no number; {REMEDY}")
    return value
