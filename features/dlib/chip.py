"""The aligned face that dlib's recognition network looks at, from MTCNN's five points."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.align import similarity
from features.box_size import too_large

#: side of the picture that the network looks at, px
CHIP = 150
#: left eye, right eye, nose, left and right mouth corner of the mean face, in widths of the face:
#: of the 68 points that dlib's get_face_chip aligns (dlib 20, image_transforms/interpolation.h),
#: the eyes being the means of their six
MEAN_FACE = np.array(
    [
        (0.225492, 0.215990),
        (0.754761, 0.215990),
        (0.490127, 0.515625),
        (0.254149, 0.780233),
        (0.726104, 0.780233),
    ]
)
#: what get_face_chip leaves around the mean face on each side, in widths of the face
PADDING = 0.25

TEMPLATE = (MEAN_FACE + PADDING) / (1 + 2 * PADDING) * CHIP


def face_chips(frame: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Faces of one frame, turned upright and scaled to 150 x 150 px; black outside the frame.

    A face of more than one and a half times that size is warped larger and averaged down, so
    that no pixel of it is passed over.

    Args:
        frame: uint8 ``(height, width, 3)``; points: float64 ``(k, 5, 2)`` px.

    Returns:
        uint8 ``(k, 150, 150, 3)``; black where the points are one and the same, or
        farther apart than a face in such a frame can be.
    """
    chips = np.zeros((len(points), CHIP, CHIP, 3), np.uint8)
    for chip, matrix in zip(chips, similarity(points, TEMPLATE), strict=True):
        if not np.isfinite(matrix).all():
            continue
        shrinks = 1 / np.hypot(matrix[0, 0], matrix[1, 0])
        if too_large(CHIP * shrinks, *frame.shape[:2]):
            continue
        times = max(1, round(float(shrinks)))
        # the middle of a large pixel lies between those of the small ones that it is made of
        larger = matrix * times
        larger[:, 2] += (times - 1) / 2
        side = CHIP * times
        warped = cv2.warpAffine(frame, larger, (side, side), flags=cv2.INTER_LINEAR)
        if times > 1:
            warped = cv2.resize(warped, (CHIP, CHIP), interpolation=cv2.INTER_AREA)
        chip[:] = warped
    return chips
