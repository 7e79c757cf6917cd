"""faces: every face of every frame, with box, score and five points, by MTCNN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.errors import UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from features.mtcnn.detector import Detections, Detector

#: columns of one detection; left and right are the image's
DETECTION_COLUMNS = (
    *("x0", "y0", "x1", "y1", "score"),
    *(
        f"{point}_{axis}"
        for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
        for axis in "xy"
    ),
)

#: published boxes and points are whole multiples of 1/64 px, scores of 1/10,000, so that float
#: noise doesn't reach what is stored
STEPS_PER_PIXEL, STEPS_PER_SCORE = 64, 10_000

Probability = Annotated[float, Field(gt=0, lt=1)]


@extractor(
    name="faces",
    version=1,
    reads="video",
    device="gpu",
    weights=("mtcnn",),
    tools={"decode": DECODE_VERSION},
)
class Faces:
    """All faces of every frame: box, score, five points.

    One row per frame holds any number of detections, float32 ``(k, 15)``: x0 y0 x1 y1 in pixels
    of the displayed frame (they may reach over its border), the probability of a face, then x
    and y of left eye, right eye, nose, left and right mouth corner. The largest box comes first
    (ties: the higher score), the order of facenet-pytorch's ``detect``.

    A frame without a face is a valid, empty row. With a ``stride`` of k, frames 0, k, 2k … of
    the clip are looked at; those between are invalid, empty rows, and nothing is interpolated.

    The numbers are those of facenet-pytorch 2.6.0 for single images, to 1/64 px, but for about
    one face in a thousand: the algorithm cuts its crops at whole pixels, and where an edge falls
    on one, float noise (another library, another kind of processor) cuts it a pixel apart.
    """

    class Params(BaseParams):
        """What changes the detections."""

        backend: Literal["mtcnn"] = Field("mtcnn", description="the detector")
        min_face: float = Field(20.0, ge=12, description="side of the smallest face, px")
        thresholds: tuple[Probability, Probability, Probability] = Field(
            (0.6, 0.7, 0.7), description="least probability after each of the three networks"
        )
        factor: float = Field(0.709, gt=0, lt=1, description="ratio of the pyramid's sizes")
        stride: int = Field(1, ge=1, description="look at every k-th frame of the clip only")
        precision: Literal["fp32"] = Field("fp32", description="of the networks' arithmetic")

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="faces",
            rate="frame",
            dims=(len(DETECTION_COLUMNS),),
            dtype="float32",
            columns=DETECTION_COLUMNS,
            units="px; score: probability",
            ragged=True,
            description="all faces of every frame: box, score, five points",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params
        self.detector: Detector | None = None

    def setup(self, device: str) -> None:
        """Load the networks.

        Raises:
            MissingWeights, WeightsDamaged: the package mtcnn isn't there or isn't version 1.0.0.
        """
        # torch takes seconds to import; a plan needs the declaration alone
        from features.mtcnn.detector import Detector

        self.detector = Detector(
            device,
            min_face=self.params.min_face,
            thresholds=self.params.thresholds,
            factor=self.params.factor,
        )

    def extract(self, batch: Batch) -> Rows:
        """Detections of the batch's frames; ``batch.start`` places them in the stride."""
        if self.detector is None or batch.frames is None:
            raise UnexpectedFailure("faces needs setup(device) first, and frames with pixels")
        count = len(batch.frames)
        looked_at = (batch.start + np.arange(count)) % self.params.stride == 0
        frames = np.flatnonzero(looked_at)
        found = self.detector.detect(batch.frames[frames])
        values, row = published(found)
        offsets = np.zeros(count + 1, np.int64)
        offsets[1:] = np.cumsum(np.bincount(frames[row], minlength=count))
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        return Rows(values, looked_at, t0, offsets=offsets)


def published(found: Detections) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Detections as they are stored.

    Returns:
        float32 ``(k, 15)``, rounded, by frame and then the largest first; int64 ``(k,)`` frames.
    """
    pixels = np.concatenate([found.boxes, found.points.reshape(-1, 10)], 1)
    pixels = np.rint(pixels.astype(np.float64) * STEPS_PER_PIXEL) / STEPS_PER_PIXEL
    scores = np.rint(found.scores.astype(np.float64) * STEPS_PER_SCORE) / STEPS_PER_SCORE
    area = (pixels[:, 2] - pixels[:, 0]) * (pixels[:, 3] - pixels[:, 1])
    order = np.lexsort((-scores, -area, found.frames))
    values = np.concatenate([pixels[:, :4], scores[:, None], pixels[:, 4:]], 1)[order]
    # no negative zero: it would be another bit pattern for the same place
    return (values + 0.0).astype(np.float32), found.frames[order]
