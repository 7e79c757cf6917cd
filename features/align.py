"""Aligning a face: five points, the similarity transform to a template, the warped crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.errors import RequestError

#: five points x, y of the SphereFace crop, 112 px high and 96 wide, in px: left eye, right eye,
#: nose, left and right mouth corner (docs: peng2018, from the authors' code)
SPHEREFACE_112X96 = np.array(
    [
        (30.2946, 51.6963),
        (65.5318, 51.5014),
        (48.0252, 71.7366),
        (33.5493, 92.3655),
        (62.7299, 92.2041),
    ]
)

#: the same points moved right by 8 px, for a square of 112 px (docs: kuhnke2020; ArcFace's)
ARCFACE_112 = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)

#: of the 68 landmarks: the six of each eye, the nose's tip, the mouth's corners
LEFT_EYE_68, RIGHT_EYE_68 = slice(36, 42), slice(42, 48)
NOSE_68, LEFT_MOUTH_68, RIGHT_MOUTH_68 = 30, 48, 54


def five_points(rows: NDArray[np.generic]) -> NDArray[np.float64]:
    """Left eye, right eye, nose, left and right mouth corner: float64 ``(n, 5, 2)``, x y in px.

    Args:
        rows: detections ``(n, 15)`` as ``faces`` and ``face_track`` have them, or 68 landmarks
            ``(n, 68, 2)``, of which the eyes are the means of their six.

    Raises:
        RequestError: rows of another shape.
    """
    values = rows.astype(np.float64)
    if values.shape[1:] == (15,):
        return values[:, 5:].reshape(-1, 5, 2)
    if values.shape[1:] == (68, 2):
        eyes = [values[:, eye].mean(1) for eye in (LEFT_EYE_68, RIGHT_EYE_68)]
        others = [values[:, i] for i in (NOSE_68, LEFT_MOUTH_68, RIGHT_MOUTH_68)]
        return np.stack([*eyes, *others], 1)
    raise RequestError(
        f"no five points in rows of shape {rows.shape[1:]}; "
        "bind the slot to face_track (15 columns) or to 68 landmarks (68, 2)"
    )


def similarity(points: NDArray[np.float64], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity transforms that bring points nearest to a template, by least squares.

    Rotation, one scale and translation, never a mirror image: Umeyama, "Least-squares estimation
    of transformation parameters between two point patterns", IEEE TPAMI 13(4), 1991, which in
    the plane is a division of complex numbers.

    Args:
        points: float64 ``(n, k, 2)``; template: float64 ``(k, 2)``.

    Returns:
        float64 ``(n, 2, 3)``: template ≈ matrix[:, :2] · point + matrix[:, 2]. NaN where the
        points are one and the same, or not finite.
    """
    source = points[..., 0] + 1j * points[..., 1]
    target = template[:, 0] + 1j * template[:, 1]
    source_mean, target_mean = source.mean(1), target.mean()
    centred = source - source_mean[:, None]
    spread = (np.abs(centred) ** 2).sum(1)
    spread[spread == 0] = np.nan
    with np.errstate(invalid="ignore"):
        turn = (centred.conj() * (target - target_mean)).sum(1) / spread
    shift = target_mean - turn * source_mean
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.moveaxis(np.array(rows), -1, 0)


def aligned_crops(
    frames: NDArray[np.uint8],
    points: NDArray[np.float64],
    valid: NDArray[np.bool_],
    template: NDArray[np.float64],
    height: int,
    width: int,
    how: int = cv2.INTER_CUBIC,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Each frame's face, turned, scaled and moved to a template; black outside.

    Args:
        frames: uint8 ``(n, rows, columns, 3)``; points: ``(n, 5, 2)`` px; valid: bool ``(n,)``.
        how: OpenCV's interpolation.

    Returns:
        uint8 ``(n, height, width, 3)`` and bool ``(n,)``: black and false where there is no face.
    """
    crops = np.zeros((len(frames), height, width, 3), np.uint8)
    matrices = similarity(points, template)
    valid = valid & np.isfinite(matrices).all((1, 2))
    for i in np.flatnonzero(valid):
        cv2.warpAffine(
            frames[i],
            matrices[i],
            (width, height),
            dst=crops[i],
            flags=how,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0, 0, 0),
        )
    return crops, valid
