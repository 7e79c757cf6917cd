"""identity: what tells one person's face from another's, for the faces of some frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.align import five_points
from features.errors import RequestError, UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from features.dlib.resnet import FaceNet

DIMENSIONS = 128

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
    """

    class Params(BaseParams):
        """What changes the numbers."""

        every: int = Field(10, ge=1, description="look at every k-th frame of the clip only")
        most: int = Field(8, ge=1, description="faces per frame at most, the largest ones")
        min_score: float = Field(0.9, ge=0, le=1, description="least score of a face")

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

    def __init__(self, params: Params) -> None:
        self.params = params
        self.device = "cpu"
        self.net: FaceNet | None = None

    def setup(self, device: str) -> None:
        """Load the network.

        Raises:
            MissingWeights, WeightsDamaged: the package face_recognition_models isn't there.
        """
        # torch takes seconds to import; a plan needs the declaration alone
        from features import weights
        from features.dlib.resnet import load

        self.device = device
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
        values = np.full((offsets[-1], DIMENSIONS), np.nan, np.float32)
        chips, places = [], []
        for row in np.flatnonzero(looked_at):
            found = faces.values[faces.offsets[row] : faces.offsets[row + 1]].astype(np.float32)
            chosen = self._chosen(found)
            if len(chosen):
                chips.append(_chips(batch.frames[row], found[chosen]))
                places.append(offsets[row] + chosen)
        if chips:
            found = _describe(self.net, self.device, np.concatenate(chips))
            values[np.concatenate(places)] = found
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


def _describe(net: FaceNet, device: str, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 ``(n, 150, 150, 3)`` to float32 ``(n, 128)``, rounded."""
    import torch

    made = np.zeros((len(chips), DIMENSIONS), np.float32)
    for first in range(0, len(chips), TOGETHER):
        some = chips[first : first + TOGETHER]
        full = np.zeros((TOGETHER, *some.shape[1:]), np.uint8)
        full[: len(some)] = some
        # the same kernels each time, and no shortened mantissas
        flags = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), flags:
            numbers = net(torch.from_numpy(full).to(device))
        made[first : first + TOGETHER] = numbers[: len(some)].cpu().numpy()
    # no negative zero: it would be another bit pattern for the same number
    rounded: NDArray[np.float32] = np.rint(made * STEPS).astype(np.float32) / np.float32(STEPS)
    return rounded + np.float32(0)


def _chips(frame: NDArray[np.uint8], found: NDArray[np.float32]) -> NDArray[np.uint8]:
    from features.dlib.chip import face_chips

    return face_chips(frame, five_points(found))
