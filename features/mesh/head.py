"""The head in space: a rigid model of it, a camera, and the pose that makes them fit.

Camera axes: x to the image's right, y down, z away from the camera; millimetres and radians.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: left half and midline of a mean head, in mm: landmark (of 68) -> x to image right, y up, z to
#: the camera. Figures of MediaPipe's canonical face model (Apache-2.0) at the mesh points that
#: the landmarks are made of; it is given in cm
_HALF: dict[int, tuple[float, float, float]] = {
    27: (0.0, 28.72141, 55.123215),
    28: (0.0, 13.93891, 65.456775),
    29: (0.0, 3.65669, 72.42870),
    30: (0.0, -4.63170, 75.86580),
    31: (-10.43625, -14.64973, 56.62455),
    32: (-5.97442, -20.13686, 58.66456),
    33: (0.0, -20.89024, 60.58267),
    36: (-44.45859, 26.63991, 31.73422),
    39: (-18.56432, 25.85245, 37.57904),
    48: (-24.56206, -43.42621, 42.83884),
}
_MIRRORED = {31: 35, 32: 34, 36: 45, 39: 42, 48: 54}
#: centre of the left iris in the same model
_LEFT_IRIS = (-31.8175, 26.35786, 38.26339)

#: landmarks that hardly move on the skull: nose, eye corners, mouth corners
RIGID = (*range(27, 36), 36, 39, 42, 45, 48, 54)

#: OpenFace's guess of a camera that nobody calibrated: 500 px for a picture of 640 x 480
OPENFACE_FOCAL, OPENFACE_WIDTH, OPENFACE_HEIGHT = 500.0, 640.0, 480.0


def _model() -> tuple[dict[int, NDArray[np.float64]], NDArray[np.float64]]:
    """Landmark -> place, and both irises ``(2, 3)``; axes of the camera, origin at their mean."""
    flip = np.array([1.0, -1.0, -1.0])
    mirror = np.array([-1.0, 1.0, 1.0])
    places = {i: np.array(place) * flip for i, place in _HALF.items()}
    places |= {right: places[left] * mirror for left, right in _MIRRORED.items()}
    origin = np.mean([places[i] for i in RIGID], 0)
    left = np.array(_LEFT_IRIS) * flip
    irises = np.stack([left, left * mirror]) - origin
    return {i: place - origin for i, place in places.items()}, irises


#: landmark -> x, y, z in mm from the model's origin; both irises' centres ``(2, 3)``
MODEL, IRISES = _model()
_RIGID_PLACES = np.stack([MODEL[i] for i in RIGID])


def camera(width: int, height: int, focal: float = 0.0) -> NDArray[np.float64]:
    """The camera matrix ``(3, 3)`` of a picture: its middle, and a focal length in px.

    A ``focal`` of 0 takes the one that OpenFace guesses.
    """
    if focal == 0:
        shares = width / OPENFACE_WIDTH + height / OPENFACE_HEIGHT
        focal = OPENFACE_FOCAL * shares / 2
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def solve(
    landmarks: NDArray[np.float64], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Where the head is: its translation (3,) in mm and rotation matrix (3, 3); None if nowhere.

    Args:
        landmarks: ``(68, 2)`` px; matrix: the camera's.
    """
    seen = landmarks[list(RIGID)]
    try:
        found, turn, move = cv2.solvePnP(
            _RIGID_PLACES, seen, matrix, None, flags=cv2.SOLVEPNP_SQPNP
        )
        if not found:
            return None
        turn, move = cv2.solvePnPRefineLM(_RIGID_PLACES, seen, matrix, None, turn, move)
    except cv2.error:
        # OpenCV refuses points that lie all in one place: no face has them
        return None
    if not (np.isfinite(turn).all() and np.isfinite(move).all()) or move[2, 0] <= 0:
        return None
    return np.asarray(move[:, 0], np.float64), np.asarray(cv2.Rodrigues(turn)[0], np.float64)


def angles(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rx, Ry, Rz of ``rotation = X(Rx) Y(Ry) Z(Rz)``, in rad, as OpenFace defines them."""
    return np.array(
        [
            np.arctan2(-rotation[1, 2], rotation[2, 2]),
            np.arcsin(np.clip(rotation[0, 2], -1, 1)),
            np.arctan2(-rotation[0, 1], rotation[0, 0]),
        ]
    )


def rotation_of(radians: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation matrix ``(3, 3)`` of Rx, Ry, Rz: the inverse of ``angles``."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(radians), np.cos(radians)
    return np.array(
        [
            [cy * cz, -cy * sz, sy],
            [cx * sz + cz * sx * sy, cx * cz - sx * sy * sz, -cy * sx],
            [sx * sz - cx * cz * sy, cz * sx + cx * sy * sz, cx * cy],
        ]
    )
