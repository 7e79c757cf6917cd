"""frame_48: the whole picture, 48 px a side, for corpora whose pictures are faces already."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from features.aligned_face import crop_spec
from features.errors import UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

SIDE = 48


@extractor(
    name="frame_48",
    version=1,
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Frame48:
    """The whole frame, brought to 48 x 48: FER-2013's images as they are.

    One row per frame, uint8 ``(48, 48, 3)`` RGB. Frames of another size are scaled by area
    averages if both sides are larger, else bilinearly, without regard to their proportions. Every
    row is valid. guo2018's first stage reads it.
    """

    class Params(BaseParams):
        """Nothing changes the picture."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("frame_48", SIDE, SIDE, "the whole frame, 48 x 48 (FER-2013's images)"),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """One thread: the runner decides how many frames are worked on at once."""
        cv2.setNumThreads(1)

    def extract(self, batch: Batch) -> Rows:
        """The picture of each of the batch's frames, each from itself alone."""
        frames = batch.frames
        if frames is None:
            raise UnexpectedFailure("frame_48 needs frames with pixels")
        made = np.empty((len(frames), SIDE, SIDE, 3), np.uint8)
        how = cv2.INTER_AREA if min(frames.shape[1:3]) >= SIDE else cv2.INTER_LINEAR
        for row, frame in enumerate(frames):
            same = frame.shape[:2] == (SIDE, SIDE)
            made[row] = frame if same else cv2.resize(frame, (SIDE, SIDE), interpolation=how)
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        return Rows(made, np.ones(len(made), bool), t0)
