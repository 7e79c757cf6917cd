"""face_track: the main face of every frame."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.faces import DETECTION_COLUMNS
from features.spec import FeatureSpec, Rows


@extractor(name="face_track", version=1, inputs={"faces": "faces"}, scope="clip")
class FaceTrack:
    """The main face of every frame: of those with a sufficient score, the largest.

    One row per frame, float32 ``(15,)``, with the columns of ``faces``. Ties go to the higher
    score. A frame without such a face is an invalid row of NaN. The rule looks at each frame
    alone; it links no faces over time and knows no identities.
    """

    class Params(BaseParams):
        """What changes the choice."""

        min_score: float = Field(0.9, ge=0, le=1, description="least score of a main face")

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="face_track",
            rate="frame",
            dims=(len(DETECTION_COLUMNS),),
            dtype="float32",
            columns=DETECTION_COLUMNS,
            units="px; score: probability",
            description="the main face of every frame: box, score, five points",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def extract(self, batch: Batch) -> Rows:
        """The main face of every frame of the clip, from all of its detections."""
        faces = batch.inputs["faces"]
        if faces.offsets is None:
            raise ValueError("face_track reads ragged detections; bind a feature like faces")
        made = self.outputs[0].invalid(faces.rows, t0=faces.t0)
        frame = np.repeat(np.arange(faces.rows), np.diff(faces.offsets))
        detections = faces.values.astype(np.float32)
        scores = detections[:, 4]
        # in float32, as stored: .9 published must reach .9 asked for
        fit = scores >= np.float32(self.params.min_score)
        frame, detections, scores = frame[fit], detections[fit], scores[fit]
        sides = detections[:, 2:4].astype(np.float64) - detections[:, :2]
        order = np.lexsort((-scores, -sides.prod(1), frame))
        frames, first = np.unique(frame[order], return_index=True)
        made.values[frames] = detections[order[first]]
        made.valid[frames] = True
        return made
