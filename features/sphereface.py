"""sphereface: 512 numbers of the main face's identity, by SphereFace-20a."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from features.extractor import extractor
from features.face_network import FaceNetwork, NetworkParams
from features.spec import FeatureSpec

FEATURES = 512
#: pixels 0..255 -> about -1..1, as in training (the authors' code)
PIXEL_MEAN, PIXEL_SCALE = 127.5, 128.0
#: images at once, by device
GROUP = {"cpu": 8, "cuda": 128}


@extractor(
    name="sphereface",
    version=1,
    inputs={"face": "face_112x96"},
    frame_local=True,
    across_clips=True,
    device="gpu",
    weights=("sphere20a",),
)
class SphereFace(FaceNetwork):
    """The main face of every frame as 512 numbers, by SphereFace-20a (layer fc5).

    One row per frame, float32 ``(512,)``, not normalised: the convolutional network of Liu et
    al., CVPR 2017 (20 layers, PReLU) on the face aligned to its template, pixels
    (x - 127.5) / 128. The public weights were trained on BGR; peng2018's authors fed RGB. A frame
    without a face is NaN and invalid.
    """

    class Params(NetworkParams):
        """What changes the numbers."""

        channels: Literal["bgr", "rgb"] = Field(
            "bgr", description="order of the colours: as in training, or as peng2018's authors fed"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="sphereface",
            rate="frame",
            dims=(FEATURES,),
            dtype="float32",
            description="identity features of the main face, by SphereFace-20a",
        ),
    )
    weights_name = "sphere20a"
    params: Params

    def setup(self, device: str) -> None:
        """Load the network.

        Raises:
            MissingWeights, WeightsDamaged: the user's weights aren't there or aren't sound.
        """
        # torch takes seconds to import; a plan needs the declaration alone
        from torch import Tensor

        from features.nets.filling import filled
        from features.nets.runner import PRECISIONS, Runner, placed, planes
        from features.nets.sphere20a import Sphere20a

        net = placed(filled(Sphere20a, self.weights_name, self.params.weights), device)
        net = net.to(PRECISIONS[self.params.precision])
        bgr = self.params.channels == "bgr"

        def forward(images: Tensor) -> tuple[Tensor]:
            return (net((planes(images, bgr=bgr) - PIXEL_MEAN) / PIXEL_SCALE),)

        self.runner = Runner(forward, (FEATURES,), device, GROUP[device])
