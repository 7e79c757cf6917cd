"""Mean brightness of every frame: the smallest useful extractor of video."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.extractor import Batch, Params, extractor
from features.spec import FeatureSpec, Rows


@extractor(name="frame_brightness", version=1, reads="video")
class FrameBrightness:
    """Mean of all channels and pixels of the frame, 0 to 255."""

    class Params(Params):
        """Nothing to set."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec("frame_brightness", rate="frame", dims=(), dtype="float32", units="0 to 255"),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """One number per frame of the batch."""
        assert batch.frames is not None
        values = batch.frames.mean((1, 2, 3), dtype=np.float64)
        return Rows(values.astype(np.float32), np.ones(len(values), bool))
