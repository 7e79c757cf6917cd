"""Turned squares of a frame: what the mesh's networks look at, and the way back to the frame.

Points are in pixels of the frame with whole numbers at pixels' centres (as in OpenCV and dlib).
A square is float64 ``(4,)``: centre x, centre y, side in px, angle in radians by which it is
turned (clockwise as seen, since y points down).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Square = NDArray[np.float64]
Points = NDArray[np.float64]


def square_of(centre: Points, side: float, from_point: Points, to_point: Points) -> Square:
    """The square whose upper side runs parallel to the line from one point to another."""
    across, down = (to_point - from_point)[:2].tolist()
    return np.array([*centre[:2].tolist(), side, np.arctan2(down, across)])


def round_points(points: Points, scale: float, from_point: Points, to_point: Points) -> Square:
    """The square round points: ``scale`` times the longer side of their upright bounding box."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    side = scale * float((high - low).max())
    return square_of((low + high) / 2, side, from_point, to_point)


def usable(square: Square) -> bool:
    """It is finite and not smaller than a pixel."""
    return bool(np.isfinite(square).all() and square[2] >= 1)


def crop(frame: NDArray[np.uint8], square: Square, size: int) -> NDArray[np.float32]:
    """The square, scaled to ``size`` px, bilinear, black outside the frame.

    Returns:
        float32 ``(size, size, 3)``, 0 to 1.
    """
    turn = _rotation(square[3]).T * (size / square[2])
    # a pixel's centre lies half a pixel inside its border
    shift = size / 2 - 0.5 - turn @ square[:2]
    matrix = np.column_stack([turn, shift])
    flat = cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(flat, np.float32) / np.float32(255)


def to_frame(points: NDArray[np.float32], square: Square, size: int) -> Points:
    """Points of a crop, ``(k, 3)`` in its pixels from its corner, in the frame's: ``(k, 3)``.

    The third axis, depth, is scaled as the others are.
    """
    scaled = points.astype(np.float64) * (square[2] / size)
    scaled[:, :2] = (scaled[:, :2] - square[2] / 2) @ _rotation(square[3]).T + square[:2]
    return np.asarray(scaled, np.float64)


def _rotation(angle: float) -> NDArray[np.float64]:
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([[cos, -sin], [sin, cos]])
