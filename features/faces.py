"""faces: every face of every frame, with box, score and five points, by one of four detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.dlib.package import MISSING, dlib_version, is_missing
from features.errors import UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from features.detectors.provided import Provided
    from features.mtcnn.detector import Detections

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

#: roles of a clip's files that hold boxes which a corpus brings
BOXES, PROVIDED = "boxes", "faces"

#: backend -> the parameters that it uses; others must keep their defaults
USED = {
    "mtcnn": ("min_face", "thresholds", "factor", "rule", "stride", "precision"),
    "dlib": ("upsample", "stride"),
    "retinaface": ("least", "overlap", "stride", "precision", "weights"),
    "provided": (),
}

Backend = Literal["mtcnn", "dlib", "retinaface", "provided"]
#: below a hundredth, nearly every place of a picture is a face to look at
Probability = Annotated[float, Field(ge=0.01, lt=1)]


class Finds(Protocol):
    """A detector."""

    def detect(self, frames: NDArray[np.uint8]) -> Detections:
        """All faces of uint8 RGB frames ``(n, height, width, 3)``."""


@extractor(
    name="faces",
    version=2,
    reads="video",
    device="gpu",
    weights=("mtcnn",),
    tools={"decode": DECODE_VERSION},
    assets=(BOXES, PROVIDED),
)
class Faces:
    """All faces of every frame: box, score, five points.

    One row per frame holds any number of detections, float32 ``(k, 15)``: x0 y0 x1 y1 in pixels
    of the displayed frame (they may reach over its border), the probability of a face, then x
    and y of left eye, right eye, nose, left and right mouth corner. The largest box comes first
    (ties: the higher score), the order of facenet-pytorch's ``detect``.

    A frame without a face is a valid, empty row. With a ``stride`` of k, frames 0, k, 2k … of
    the clip are looked at; those between are invalid, empty rows, and nothing is interpolated here
    (``face_track.interpolate`` does it for the subject).

    ``backend=mtcnn``: the numbers are those of facenet-pytorch 2.6.0 for single images, to
    1/64 px, but for about one face in a thousand: the algorithm cuts its crops at whole pixels,
    and where an edge falls on one, float noise (another library, another kind of processor) cuts
    it a pixel apart. Of boxes whose scores tie, as round a large face, the one stays that numpy's
    sort puts last, as there. ``rule=mtcnn`` takes the steps of PyPI's mtcnn 1.0.0 instead, which
    runs the same networks under TensorFlow: the same faces, boxes that lie up to a tenth apart.

    ``backend=dlib``: dlib's frontal HOG detector, on the CPU; the score is a logistic function
    of its margin, .9 where dlib draws the line; eyes come from its five-point predictor, the tip
    of the nose and the mouth from the mean face laid over them. ``backend=retinaface``: RetinaFace
    on ResNet-50 (Deng et al. 2020) with the user's weights, at the frames' own size.
    ``backend=provided``: boxes that the corpus brings, from the clip's file ``boxes`` (or
    ``faces``): CSV with frame (from 0), x0, y0, x1, y1, and if there are, score and the points by
    the names of the columns here; scores are 1 and points NaN where the table has none.
    """

    class Params(BaseParams):
        """What changes the detections; a parameter that the backend doesn't use is refused."""

        backend: Backend = Field("mtcnn", description="the detector")
        min_face: float = Field(
            20.0, ge=12, le=10_000, description="side of the smallest face, px (mtcnn)"
        )
        thresholds: tuple[Probability, Probability, Probability] = Field(
            (0.6, 0.7, 0.7), description="least probability after each network (mtcnn)"
        )
        # above, a pyramid has hundreds of levels; below, faces between two of them are lost
        factor: float = Field(
            0.709, ge=0.1, le=0.95, description="ratio of the pyramid's sizes (mtcnn)"
        )
        rule: Literal["facenet", "mtcnn"] = Field(
            "facenet", description="whose steps: facenet-pytorch's, or PyPI's mtcnn's (mtcnn)"
        )
        stride: int = Field(
            1, ge=1, le=10**6, description="look at every k-th frame of the clip only"
        )
        precision: Literal["fp32"] = Field("fp32", description="of the networks' arithmetic")
        upsample: int = Field(1, ge=0, le=3, description="times a frame is doubled (dlib)")
        least: Probability = Field(0.6, description="least score of a face (retinaface)")
        overlap: Probability = Field(0.4, description="IoU of two boxes of one face (retinaface)")
        weights: Literal["published", "random"] = Field(
            "published", description="random: numbers without meaning, for tests (retinaface)"
        )

        @model_validator(mode="after")
        def _used(self) -> Self:
            for name, field in type(self).model_fields.items():
                unused = name != "backend" and name not in USED[self.backend]
                if unused and getattr(self, name) != field.default:
                    takes = ", ".join(USED[self.backend]) or "no others"
                    raise ValueError(f"{name} isn't used by {self.backend}, which takes: {takes}")
            return self

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

    @staticmethod
    def weights_for(params: Faces.Params) -> tuple[str, ...]:
        """Of the backend; random numbers are none that could be missing."""
        if params.backend == "retinaface" and params.weights == "random":
            return ()
        return {"mtcnn": ("mtcnn",), "dlib": ("dlib5",), "retinaface": ("retinaface",)}.get(
            params.backend, ()
        )

    @staticmethod
    def tools_for(params: Faces.Params) -> Mapping[str, int | str]:
        """dlib's version, where it does the work."""
        if params.backend != "dlib":
            return {}
        return {"dlib": dlib_version()}

    @staticmethod
    def assets_for(params: Faces.Params) -> tuple[str, ...]:
        """The provided boxes, where they are read."""
        return (BOXES, PROVIDED) if params.backend == "provided" else ()

    @staticmethod
    def unavailable(params: Faces.Params) -> str | None:
        """dlib is an extra."""
        if params.backend != "dlib":
            return None
        return MISSING if is_missing() else None

    def __init__(self, params: Params) -> None:
        self.params = params
        self.detector: Finds | None = None
        self._provided: tuple[str, Provided] | None = None

    def setup(self, device: str) -> None:
        """Load the detector.

        Raises:
            MissingWeights, WeightsDamaged: its weights aren't there, or are others.
            ToolMissing: dlib isn't installed.
        """
        if self.params.backend != "provided":
            self.detector = _detector(self.params, device)

    def extract(self, batch: Batch) -> Rows:
        """Detections of the batch's frames; ``batch.start`` places them in the stride.

        Raises:
            BadBoxes: the clip brings no boxes, or they can't be read, or can't be faces.
        """
        count = len(batch.times)
        looked_at = (batch.start + np.arange(count)) % self.params.stride == 0
        frames = np.flatnonzero(looked_at)
        if batch.frames is None:
            raise UnexpectedFailure("faces needs frames with pixels")
        if self.params.backend == "provided":
            found = self._table(batch, *batch.frames.shape[1:3]).between(batch.start, count)
        elif self.detector is None:
            raise UnexpectedFailure("faces needs setup(device) first")
        else:
            found = self.detector.detect(batch.frames[frames])
        values, row = published(found)
        offsets = np.zeros(count + 1, np.int64)
        offsets[1:] = np.cumsum(np.bincount(frames[row], minlength=count))
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        return Rows(values, looked_at, t0, offsets=offsets)

    def _table(self, batch: Batch, height: int, width: int) -> Provided:
        """The clip's boxes; read once for all of its batches."""
        from features.detectors.provided import read_boxes, table_of

        path = table_of(batch.assets, batch.media.name)
        if self._provided is None or self._provided[0] != path or batch.start == 0:
            table = read_boxes(path)
            table.check(path, height, width)
            self._provided = (path, table)
        return self._provided[1]


def _detector(params: Faces.Params, device: str) -> Finds:
    # torch takes seconds to import; a plan needs the declaration alone
    if params.backend == "dlib":
        from features import weights
        from features.detectors.dlib_hog import Hog

        weights.read("dlib5")
        return Hog(str(weights.resolve("dlib5")[0]), params.upsample)
    if params.backend == "retinaface":
        from features.detectors.retinaface import Retina
        from features.nets.filling import filled
        from features.nets.retinaface import RetinaFace

        net = filled(RetinaFace, "retinaface", params.weights)
        return Retina(net, device, least=params.least, overlap=params.overlap)
    from features.mtcnn.detector import Detector
    from features.mtcnn.pypi import PypiDetector

    rule = PypiDetector if params.rule == "mtcnn" else Detector
    return rule(
        device, min_face=params.min_face, thresholds=params.thresholds, factor=params.factor
    )


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
