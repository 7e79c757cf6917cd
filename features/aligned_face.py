"""What the aligned crops share: points, a template, one crop for every frame."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from features.align import aligned_crops, five_points
from features.errors import UnexpectedFailure
from features.extractor import Batch
from features.extractor import Params as BaseParams
from features.spec import FeatureSpec, Rows


def crop_spec(name: str, height: int, width: int, description: str) -> FeatureSpec:
    """The feature of RGB crops of that size, one per frame."""
    return FeatureSpec(
        name=name,
        rate="frame",
        dims=(height, width, 3),
        dtype="uint8",
        units="RGB, 0 to 255",
        description=description,
    )


class AlignedFace:
    """Base of the extractors that bring points of a face nearest to a template.

    The frame under the similarity transform, bicubic, black outside the frame. A frame without a
    face is black and invalid. A subclass says its template, its output and its docstring; its
    slot is named ``points``.
    """

    class Params(BaseParams):
        """Nothing changes the crop but its points."""

    #: x, y of each point in the crop, in px
    template: ClassVar[NDArray[np.float64]]
    outputs: ClassVar[tuple[FeatureSpec, ...]]

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """One thread: the runner decides how many frames are worked on at once."""
        cv2.setNumThreads(1)

    def points(self, rows: NDArray[np.generic]) -> NDArray[np.float64]:
        """The points ``(n, k, 2)`` that go to the template's, from the slot's rows."""
        return five_points(rows)

    def extract(self, batch: Batch) -> Rows:
        """The crop of each of the batch's frames, each from its own points alone."""
        spec = self.outputs[0]
        if batch.frames is None:
            raise UnexpectedFailure(f"{spec.name} needs frames with pixels")
        points = batch.inputs["points"]
        height, width, _ = spec.dims
        crops, valid = aligned_crops(
            batch.frames, self.points(points.values), points.valid, self.template, height, width
        )
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        return Rows(crops, valid, t0)
