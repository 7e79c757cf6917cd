"""face_mask: the main face's landmarks drawn as lines, one grey for each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from features.align import ARCFACE_112, five_points, similarity
from features.errors import RequestError
from features.extractor import Batch, Params, extractor
from features.spec import FeatureSpec, Rows

SIDE = 112


@dataclass(frozen=True)
class Line:
    """One part of the face: landmarks ``start`` to ``stop``, both included, and its grey."""

    start: int
    stop: int
    closed: bool
    grey: int


#: in the order in which they are drawn (kuhnke2020, from the authors' code)
LINES = (
    Line(48, 59, True, 255),  # outer mouth
    Line(17, 21, False, 223),  # left brow
    Line(22, 26, False, 191),  # right brow
    Line(36, 41, True, 159),  # left eye
    Line(42, 47, True, 127),  # right eye
    Line(28, 30, False, 63),  # nose
    Line(6, 10, False, 31),  # chin
)


@extractor(
    name="face_mask",
    version=1,
    inputs={"landmarks": "landmarks_68", "points": "landmarks_68"},
    frame_local=True,
)
class FaceMask:
    """The main face's landmarks as lines on black: kuhnke2020's fourth input channel.

    One row per frame, uint8 ``(112, 112)``, for ``face_112`` with the same points: the landmarks
    under the transform that aligns the face (slot ``points``, as of ``face_112``), rounded to
    whole pixels, joined by lines one pixel wide. Mouth 255, left brow 223, right brow 191, left
    eye 159, right eye 127, nose 63, chin 31; what is drawn later lies on top. A frame without a
    face is black and invalid. OpenFace has nothing like it.
    """

    class Params(Params):
        """Nothing changes the mask but its landmarks."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="face_mask",
            rate="frame",
            dims=(SIDE, SIDE),
            dtype="uint8",
            units="grey value of a part, 0 = none",
            description="landmarks of the aligned face as lines, 112 x 112",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """One thread: the runner decides how many frames are worked on at once."""
        cv2.setNumThreads(1)

    def extract(self, batch: Batch) -> Rows:
        """The mask of each row, from its own landmarks and points alone.

        Raises:
            RequestError: the slot ``landmarks`` holds something else.
        """
        landmarks, points = batch.inputs["landmarks"], batch.inputs["points"]
        if landmarks.values.shape[1:] != (68, 2):
            raise RequestError(
                f"no landmarks in rows of shape {landmarks.values.shape[1:]}; "
                "bind face_mask.landmarks to landmarks_68"
            )
        found = landmarks.values.astype(np.float64)
        matrices = similarity(five_points(points.values), ARCFACE_112)
        finite = np.isfinite(matrices).all((1, 2)) & np.isfinite(found).all((1, 2))
        valid = landmarks.valid & points.valid & finite
        masks = np.zeros((len(found), SIDE, SIDE), np.uint8)
        for i in np.flatnonzero(valid):
            draw(masks[i], found[i] @ matrices[i, :, :2].T + matrices[i, :, 2])
        return Rows(masks, valid, landmarks.t0)


def draw(mask: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> None:
    """Draw all lines into a black mask; landmarks ``(68, 2)`` in its pixels."""
    whole = np.rint(landmarks).astype(np.int32)
    for line in LINES:
        part = whole[line.start : line.stop + 1]
        cv2.polylines(mask, [part], line.closed, line.grey, thickness=1)
