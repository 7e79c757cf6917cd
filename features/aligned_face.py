"""What the crops share: one image for every frame, how it is kept, and alignment by points."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.align import aligned_crops, five_points
from features.errors import UnexpectedFailure
from features.extractor import Batch
from features.extractor import Params as BaseParams
from features.jpeg import settled
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


class CropParams(BaseParams):
    """Parameters of every extractor of crops of whole blocks of 8 x 8 pixels."""

    codec: Literal["raw", "jpeg95"] = Field(
        "raw",
        description="how crops are kept: raw, or as JPEG of quality 95, an eighth of the room or "
        "so, with the pixels that such files hold",
    )


def codec_of(params: BaseParams) -> str:
    """How crops are kept; raw where there is no choice."""
    return params.codec if isinstance(params, CropParams) else "raw"


class Crops:
    """Base of the extractors that make one image of every frame.

    A subclass says its parameters, its output, and ``crops``.
    """

    Params: ClassVar[type[BaseParams]] = CropParams
    outputs: ClassVar[tuple[FeatureSpec, ...]]

    def __init__(self, params: BaseParams) -> None:
        self.params = params

    @classmethod
    def outputs_for(cls, params: BaseParams) -> tuple[FeatureSpec, ...]:
        """The crops, packed as the parameter says."""
        return tuple(replace(spec, codec=codec_of(params)) for spec in cls.outputs)

    def setup(self, device: str) -> None:
        """One thread: the runner decides how many frames are worked on at once."""
        cv2.setNumThreads(1)

    @abstractmethod
    def crops(self, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The crop of each of the batch's frames, each from its own row alone; black if invalid."""

    def frames(self, batch: Batch) -> NDArray[np.uint8]:
        """The batch's pixels."""
        if batch.frames is None:
            raise UnexpectedFailure(f"{self.outputs[0].name} needs frames with pixels")
        return batch.frames

    def extract(self, batch: Batch) -> Rows:
        """The crops of the batch's frames.

        Raises:
            FeatureError: a slot holds something else than the extractor reads, or an image that
                the corpus brings can't be read.
        """
        crops, valid = self.crops(batch)
        if codec_of(self.params) == "jpeg95":
            for i in np.flatnonzero(valid):
                crops[i] = settled(crops[i])
        return Rows(crops, valid, float(batch.times[0]) if len(batch.times) else 0.0)


class AlignedFace(Crops):
    """Base of the extractors that bring points of a face nearest to a template.

    The frame under the similarity transform, bicubic, black outside the frame. A frame without a
    face is black and invalid. A subclass says its template, its output and its docstring; its
    slot is named ``points``.
    """

    #: the slot may be filled by detections, from whose columns five points are taken
    takes_detections: ClassVar[bool] = True
    #: x, y of each point in the crop, in px
    template: ClassVar[NDArray[np.float64]]

    def points(self, rows: NDArray[np.generic]) -> NDArray[np.float64]:
        """The points ``(n, k, 2)`` that go to the template's, from the slot's rows."""
        return five_points(rows)

    def crops(self, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Aligned by the batch's points."""
        found = batch.inputs["points"]
        height, width, _ = self.outputs[0].dims
        points = self.points(found.values)
        return aligned_crops(self.frames(batch), points, found.valid, self.template, height, width)
