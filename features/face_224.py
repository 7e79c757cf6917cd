"""face_224: a square cut out round the main face's box, 224 px a side."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.aligned_face import CropParams, Crops, crop_spec
from features.box_size import too_large
from features.errors import RequestError
from features.extractor import Batch, extractor
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec

SIDE = 224
#: columns of one detection: box, score, five points
DETECTION = 15


@extractor(
    name="face_224",
    version=1,
    inputs={"box": "face_track"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Face224(Crops):
    """A square cut out round the main face's box, 224 x 224; not turned, not aligned.

    One row per frame, uint8 ``(224, 224, 3)`` RGB: the square of the box's longer side, grown by
    ``margin`` of it on every side, about the box's centre, at whole pixels; scaled by area
    averages if it is larger than 224 px, else bicubic; black outside the frame. A frame without a
    face, or with a box of more than four times its longer side, is black and invalid. birhala2020
    names "MTCNN face crops 224 x 224" and no margin: 0 is our choice.
    """

    class Params(CropParams):
        """What changes the square."""

        margin: float = Field(
            0.0, ge=0, le=2, description="grow the square on every side by this share of it"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("face_224", SIDE, SIDE, "square round the main face's box, 224 x 224"),
    )

    params: Params

    def crops(self, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Each from its own box alone."""
        frames = self.frames(batch)
        found = batch.inputs["box"]
        if found.values.shape[1:] != (DETECTION,):
            raise RequestError(
                f"no boxes in rows of shape {found.values.shape[1:]}; "
                "bind face_224.box to face_track (15 columns)"
            )
        sides = np.ptp(found.values[:, :4].reshape(-1, 2, 2), axis=1).max(1)
        squares = square_round(found.values[:, :4], self.params.margin)
        valid = found.valid & (squares[:, 2] > 0) & ~too_large(sides, *frames.shape[1:3])
        crops = np.zeros((len(frames), SIDE, SIDE, 3), np.uint8)
        for i in np.flatnonzero(valid):
            piece = cut(frames[i], *squares[i].tolist())
            how = cv2.INTER_AREA if len(piece) > SIDE else cv2.INTER_CUBIC
            cv2.resize(piece, (SIDE, SIDE), dst=crops[i], interpolation=how)
        return crops, valid


def square_round(boxes: NDArray[np.generic], margin: float) -> NDArray[np.int64]:
    """The squares round boxes, in whole pixels.

    Args:
        boxes: ``(n, 4)`` x0 y0 x1 y1; margin: share of the longer side that each side moves out.

    Returns:
        int64 ``(n, 3)``: x0, y0, side; a side of 0 where the box isn't finite or has no area.
    """
    x0, y0, x1, y1 = boxes.astype(np.float64).T
    side = np.maximum(x1 - x0, y1 - y0) * (1 + 2 * margin)
    square = np.stack([(x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side], 1)
    whole = (np.abs(square) < 2**31).all(1) & (x1 > x0) & (y1 > y0)
    return np.floor(np.where(whole[:, None], square, 0) + 0.5).astype(np.int64)


def cut(frame: NDArray[np.uint8], x0: int, y0: int, side: int) -> NDArray[np.uint8]:
    """A square of a frame, uint8 ``(side, side, 3)``, black where it reaches over the border."""
    piece = np.zeros((side, side, 3), np.uint8)
    height, width = frame.shape[:2]
    left, right = max(x0, 0), min(x0 + side, width)
    top, bottom = max(y0, 0), min(y0 + side, height)
    if left < right and top < bottom:
        piece[top - y0 : bottom - y0, left - x0 : right - x0] = frame[top:bottom, left:right]
    return piece
