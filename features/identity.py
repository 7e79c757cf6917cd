"""identity: what tells one person's face from another's, for the faces of some frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.align import ARCFACE_112, aligned_crops, five_points
from features.errors import RequestError, UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from torch import Tensor

    #: uint8 ``(n, side, side, 3)`` RGB faces -> float32 ``(n, k)``
    Describes = Callable[[Tensor], Tensor]

Backend = Literal["dlib", "arcface", "arcface-r50"]

#: numbers per face of dlib's network, and of ArcFace's
DIMENSIONS, ARCFACE_DIMENSIONS = 128, 512
#: side of the faces that ArcFace's networks look at, px; how pixels are scaled (authors' code)
ARCFACE_SIDE, ARCFACE_MEAN, ARCFACE_SCALE = 112, 127.5, 127.5

#: faces per forward pass: one fixed shape, so that a face's numbers don't depend on the others
TOGETHER = 4

#: published numbers are whole multiples of 1/4096, so that float noise doesn't reach what is
#: stored; faces of one person differ by hundreds of them
STEPS = 4096


@extractor(
    name="identity",
    version=1,
    inputs={"faces": "faces"},
    reads="video",
    frame_local=True,
    device="gpu",
    weights=("dlib-resnet",),
    tools={"decode": DECODE_VERSION},
)
class Identity:
    """128 numbers per face by dlib's recognition network; alike for the same person.

    Rows are ragged like those of ``faces``: in every k-th frame of the clip row i holds one item
    per detection, in the order of ``faces``, float32 ``(k, 128)``; the rows between are invalid
    and empty. Euclidean distances are what they are made for: those of one person are mostly
    below 0.6, which is where dlib's author draws the line (King 2017). Detections with too low
    a score or no points, and all but the largest ones of a crowd, are NaN.

    The network is dlib's, its numbers are dlib's to 1e-5 for the same aligned face. dlib aligns
    by five points of its own (eye corners, nose); here the same mean face is reached from
    MTCNN's (eye centres, nose, mouth corners), which moves the result by about 0.15.

    ``backend=arcface`` (or ``arcface-r50``): 512 numbers by ArcFace's R100 (R50) with the user's
    weights (Deng et al. 2019; kuhnke2020 names ArcFace), on faces aligned to its template,
    bilinear. Only their direction counts: the vector has length 1/2 (ours), so that distances mean
    about what dlib's do, 0.5 being a cosine of 0.5, and ``face_track.same`` may stay.
    """

    class Params(BaseParams):
        """What changes the numbers."""

        backend: Backend = Field("dlib", description="whose network")
        every: int = Field(
            10, ge=1, le=10**6, description="look at every k-th frame of the clip only"
        )
        most: int = Field(
            8, ge=1, le=10_000, description="faces per frame at most, the largest ones"
        )
        min_score: float = Field(0.9, ge=0, le=1, description="least score of a face")
        weights: Literal["published", "random"] = Field(
            "published", description="random: numbers without meaning, for tests (arcface)"
        )

        @model_validator(mode="after")
        def _used(self) -> Self:
            if self.backend == "dlib" and self.weights != "published":
                raise ValueError("weights isn't used by dlib, whose network comes with a package")
            return self

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="identity",
            rate="frame",
            dims=(DIMENSIONS,),
            dtype="float32",
            ragged=True,
            description="128 numbers per face of every 10th frame that tell people apart",
        ),
    )

    @staticmethod
    def weights_for(params: Identity.Params) -> tuple[str, ...]:
        """Of the backend; random numbers are none that could be missing."""
        if params.backend == "dlib":
            return ("dlib-resnet",)
        return (params.backend,) if params.weights == "published" else ()

    @classmethod
    def outputs_for(cls, params: Identity.Params) -> tuple[FeatureSpec, ...]:
        """As many numbers as the network gives."""
        if params.backend == "dlib":
            return cls.outputs
        return (replace(cls.outputs[0], dims=(ARCFACE_DIMENSIONS,)),)

    def __init__(self, params: Params) -> None:
        self.params = params
        self.dimensions = DIMENSIONS if params.backend == "dlib" else ARCFACE_DIMENSIONS
        self.device = "cpu"
        self.net: Describes | None = None

    def setup(self, device: str) -> None:
        """Load the network.

        Raises:
            MissingWeights, WeightsDamaged: the package face_recognition_models isn't there, or
                the user's weights aren't.
        """
        self.device = device
        if self.params.backend != "dlib":
            self.net = _arcface(self.params.backend, self.params.weights, device)
            return
        # torch takes seconds to import; a plan needs the declaration alone
        from features import weights
        from features.dlib.resnet import load

        self.net = load(weights.read("dlib-resnet")[0]).to(device)

    def extract(self, batch: Batch) -> Rows:
        """The numbers of the batch's faces; ``batch.numbers`` tell which frames are looked at."""
        if self.net is None or batch.frames is None:
            raise UnexpectedFailure("identity needs setup(device) first, and frames with pixels")
        faces = batch.inputs["faces"]
        if faces.offsets is None:
            raise RequestError("identity reads ragged detections; bind the slot to faces")
        looked_at = (batch.numbers % self.params.every == 0) & faces.valid
        counts = np.where(looked_at, np.diff(faces.offsets), 0)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        values = np.full((offsets[-1], self.dimensions), np.nan, np.float32)
        chips, places = [], []
        for row in np.flatnonzero(looked_at):
            found = faces.values[faces.offsets[row] : faces.offsets[row + 1]].astype(np.float32)
            chosen = self._chosen(found)
            if len(chosen):
                chips.append(self._chips(batch.frames[row], found[chosen]))
                places.append(offsets[row] + chosen)
        if chips:
            made = _describe(self.net, self.device, np.concatenate(chips), self.dimensions)
            values[np.concatenate(places)] = made
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        return Rows(values, looked_at, t0, offsets=offsets)

    def _chosen(self, found: NDArray[np.float32]) -> NDArray[np.intp]:
        """Which of a frame's detections are looked at, in their order."""
        sure = found[:, 4] >= np.float32(self.params.min_score)
        # provided boxes may lack points
        fit = np.flatnonzero(sure & np.isfinite(found[:, 5:]).all(1))
        sides = found[fit, 2:4].astype(np.float64) - found[fit, :2]
        largest = np.argsort(-sides.prod(1), kind="stable")[: self.params.most]
        return np.sort(fit[largest])

    def _chips(self, frame: NDArray[np.uint8], found: NDArray[np.float32]) -> NDArray[np.uint8]:
        """A frame's faces as the network looks at them, uint8 ``(n, side, side, 3)``."""
        if self.params.backend == "dlib":
            from features.dlib.chip import face_chips

            return face_chips(frame, five_points(found))
        frames = np.broadcast_to(frame, (len(found), *frame.shape))
        points, everyone = five_points(found), np.ones(len(found), bool)
        size = (ARCFACE_SIDE, ARCFACE_SIDE)
        return aligned_crops(frames, points, everyone, ARCFACE_112, *size, cv2.INTER_LINEAR)[0]


def _arcface(name: str, origin: Literal["published", "random"], device: str) -> Describes:
    """ArcFace's network of that name, from the weights registry."""
    from torch.nn import functional

    from features.nets.filling import filled
    from features.nets.iresnet import IResNet50, IResNet100
    from features.nets.runner import placed, planes

    make = {"arcface": IResNet100, "arcface-r50": IResNet50}[name]
    net = placed(filled(make, name, origin), device)

    def describe(faces: Tensor) -> Tensor:
        found = net((planes(faces, bgr=False) - ARCFACE_MEAN) / ARCFACE_SCALE)
        return functional.normalize(found) / 2

    return describe


def _describe(
    net: Describes, device: str, chips: NDArray[np.uint8], dimensions: int
) -> NDArray[np.float32]:
    """uint8 ``(n, side, side, 3)`` to float32 ``(n, dimensions)``, rounded."""
    import torch

    from features.nets.exact import exact

    made = np.zeros((len(chips), dimensions), np.float32)
    for first in range(0, len(chips), TOGETHER):
        some = chips[first : first + TOGETHER]
        full = np.zeros((TOGETHER, *some.shape[1:]), np.uint8)
        full[: len(some)] = some
        with torch.inference_mode(), exact(device):
            numbers = net(torch.from_numpy(full).to(device))
        made[first : first + TOGETHER] = numbers[: len(some)].cpu().numpy()
    # no negative zero: it would be another bit pattern for the same number
    rounded: NDArray[np.float32] = np.rint(made * STEPS).astype(np.float32) / np.float32(STEPS)
    return rounded + np.float32(0)
