"""face_112x96: the main face of every frame, aligned, 112 px high and 96 wide."""

from __future__ import annotations

from typing import ClassVar

from features.align import SPHEREFACE_112X96
from features.aligned_face import AlignedFace, crop_spec
from features.extractor import extractor
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec


@extractor(
    name="face_112x96",
    version=1,
    inputs={"points": "face_track"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Face112x96(AlignedFace):
    """The main face of every frame, aligned: 112 high x 96 wide, by SphereFace's template.

    One row per frame, uint8 ``(112, 96, 3)`` RGB: the frame under the similarity transform that
    brings five points of the face nearest to the template, bicubic, black outside the frame. A
    frame without a face is black and invalid. The slot ``points`` takes rows of 15 columns
    (box, score, five points) or of 68 landmarks.
    """

    template = SPHEREFACE_112X96
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("face_112x96", 112, 96, "aligned main face, 112 x 96, by SphereFace's template"),
    )
