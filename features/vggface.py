"""vggface: 4096 numbers of the main face, by VGG-Face (layer fc6)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from features.extractor import extractor
from features.face_network import FaceNetwork, NetworkParams
from features.spec import FeatureSpec

FEATURES = 4096
#: images at once, by device
GROUP = {"cpu": 4, "cuda": 64}


@extractor(
    name="vggface",
    version=1,
    inputs={"face": "face_224"},
    frame_local=True,
    across_clips=True,
    device="gpu",
    weights=("vggface16",),
)
class VggFace(FaceNetwork):
    """The main face of every frame as 4096 numbers, by VGG-Face's VGG-16 (layer fc6).

    One row per frame, float32 ``(4096,)``: the network of Parkhi et al., BMVC 2015, on the face
    as RGB 0 to 255 less the training images' mean colour, crops of other sizes than 224 x 224
    scaled to it bilinearly. A frame without a face is NaN and invalid.
    """

    class Params(NetworkParams):
        """What changes the numbers."""

        relu: bool = Field(
            True, description="the layer's output after its ReLU, what the next layer reads (ours)"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="vggface",
            rate="frame",
            dims=(FEATURES,),
            dtype="float32",
            description="features of the main face, by VGG-Face fc6",
        ),
    )
    weights_name = "vggface16"
    scales = True
    params: Params

    def setup(self, device: str) -> None:
        """Load the network.

        Raises:
            MissingWeights, WeightsDamaged: the user's weights aren't there or aren't sound.
        """
        # torch takes seconds to import; a plan needs the declaration alone
        import torch
        from torch import Tensor

        from features.nets.filling import filled
        from features.nets.runner import PRECISIONS, Runner, placed, planes
        from features.nets.scaling import bilinear
        from features.nets.vggface16 import MEAN_RGB, SIZE, VggFace16

        net = placed(filled(VggFace16, self.weights_name, self.params.weights), device)
        net = net.to(PRECISIONS[self.params.precision])
        mean = torch.tensor(MEAN_RGB, device=device).view(3, 1, 1)

        def forward(images: Tensor) -> tuple[Tensor]:
            fc6 = net.features(bilinear(planes(images, bgr=False), SIZE) - mean)
            return (fc6.relu() if self.params.relu else fc6,)

        self.runner = Runner(forward, (FEATURES,), device, GROUP[device])
