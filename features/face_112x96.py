"""face_112x96: the main face of every frame, aligned, 112 px high and 96 wide."""

from __future__ import annotations

from typing import ClassVar

import cv2

from features.align import SPHEREFACE_112X96, aligned_crops, five_points
from features.errors import UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

HEIGHT, WIDTH = 112, 96


@extractor(
    name="face_112x96",
    version=1,
    inputs={"points": "face_track"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
    batch=16,
)
class Face112x96:
    """The main face of every frame, aligned: 112 high x 96 wide, by SphereFace's template.

    One row per frame, uint8 ``(112, 96, 3)`` RGB: the frame under the similarity transform that
    brings five points of the face nearest to the template, bicubic, black outside the frame. A
    frame without a face is black and invalid. The slot ``points`` takes rows of 15 columns
    (box, score, five points) or of 68 landmarks.
    """

    class Params(BaseParams):
        """Nothing changes the crop but its points."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="face_112x96",
            rate="frame",
            dims=(HEIGHT, WIDTH, 3),
            dtype="uint8",
            units="RGB, 0 to 255",
            description="aligned main face, 112 high x 96 wide, by SphereFace's template",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """One thread: the runner decides how many frames are worked on at once."""
        cv2.setNumThreads(1)

    def extract(self, batch: Batch) -> Rows:
        """The crop of each of the batch's frames, each from its own points alone."""
        if batch.frames is None:
            raise UnexpectedFailure("face_112x96 needs frames with pixels")
        points = batch.inputs["points"]
        crops, valid = aligned_crops(
            batch.frames, five_points(points.values), points.valid, SPHEREFACE_112X96, HEIGHT, WIDTH
        )
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        return Rows(crops, valid, t0)
