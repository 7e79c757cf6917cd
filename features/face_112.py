"""face_112: the main face of every frame, aligned, 112 px square."""

from __future__ import annotations

from typing import ClassVar

from features.align import ARCFACE_112
from features.aligned_face import AlignedFace, crop_spec
from features.extractor import extractor
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec


@extractor(
    name="face_112",
    version=1,
    inputs={"points": "face_track"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Face112(AlignedFace):
    """The main face of every frame, aligned: 112 x 112, by ArcFace's template.

    One row per frame, uint8 ``(112, 112, 3)`` RGB: the frame under the similarity transform that
    brings five points of the face nearest to the template, bicubic, black outside the frame. A
    frame without a face is black and invalid. The slot ``points`` takes rows of 15 columns
    (box, score, five points) or of 68 landmarks.
    """

    template = ARCFACE_112
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("face_112", 112, 112, "aligned main face, 112 x 112, by ArcFace's template"),
    )
