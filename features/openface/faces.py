"""Reads the aligned faces that OpenFace writes beside its CSV: one image per frame."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.openface.errors import BadFaces
from features.openface.place import Span
from features.spec import Rows

log = logging.getLogger(__name__)

#: side of an aligned face, px: what ``-simsize`` asks for
SIDE = 112
#: ``frame_det_00_000001.bmp``; older versions leave the face's number out, newer ones write png
_NAME = re.compile(r"frame_det_(?:(\d+)_)?(\d+)\.(?:bmp|png|jpg)", re.IGNORECASE)


def aligned_folder(table: Path) -> Path:
    """Where OpenFace puts the faces that belong to a CSV file."""
    return table.with_name(table.name.split(".csv")[0] + "_aligned")


def read_faces(
    name: str,
    folder: Path,
    span: Span,
    valid: NDArray[np.bool_],
    face: NDArray[np.int64] | None = None,
) -> Rows:
    """uint8 ``(span.frames, 112, 112, 3)`` RGB; black and invalid where OpenFace is unsure.

    The values lie in a file without a name, not in memory: an hour of faces is 4 GB.

    Args:
        valid: bool ``(span.frames,)``: frames whose row is valid.
        face: int64 ``(span.frames,)``: OpenFace's number of the face; None: it wrote one only.

    Raises:
        BadFaces: there are none, or an image isn't 112 x 112.
    """
    import cv2

    found = _images(folder)
    if not found and valid.any():
        raise BadFaces(f"{name}: OpenFace wrote no aligned faces; it must run with -simalign")
    if face is None and len(found) != span.total:
        log.warning(
            "%s: OpenFace wrote %d aligned faces, the timeline has %d frames; frames without "
            "one are black and invalid",
            name,
            len(found),
            span.total,
        )
    values, there = _blank(span.frames), np.zeros(span.frames, bool)
    for row in np.flatnonzero(valid):
        number = 0 if face is None else int(face[row])
        path = found.get((span.first + int(row), number))
        if path is None:
            continue
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None or image.shape != (SIDE, SIDE, 3):
            shape = "no image" if image is None else "x".join(map(str, image.shape[:2]))
            raise BadFaces(
                f"{name}: {path.name} is {shape}, {SIDE}x{SIDE} is needed; run OpenFace with "
                f"-simsize {SIDE}"
            )
        values[row] = image[..., ::-1]
        there[row] = True
    return Rows(values, there, span.t0)


def no_faces(span: Span) -> Rows:
    """Black, invalid rows."""
    return Rows(_blank(span.frames), np.zeros(span.frames, bool), span.t0)


def _images(folder: Path) -> dict[tuple[int, int], Path]:
    """(frame, from 0; number of the face) -> image."""
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            found[int(match[2]) - 1, int(match[1] or 0)] = path
    return found


def _blank(rows: int) -> NDArray[np.uint8]:
    if not rows:
        return np.zeros((0, SIDE, SIDE, 3), np.uint8)
    with tempfile.TemporaryFile() as file:
        # zeros that take no space until they are written over
        return np.memmap(file, np.uint8, "w+", shape=(rows, SIDE, SIDE, 3))
