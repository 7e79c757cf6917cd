"""expnet: expression features of the main face, and 29 coefficients of a 3D face model."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from features.extractor import extractor
from features.face_network import FaceNetwork, NetworkParams
from features.spec import FeatureSpec

FEATURES, COEFFICIENTS = 2048, 29
#: images at once, by device
GROUP = {"cpu": 4, "cuda": 128}


@extractor(
    name="expnet",
    version=1,
    inputs={"face": "face_112", "square": "face_227"},
    frame_local=True,
    across_clips=True,
    device="gpu",
    weights=("expnet",),
)
class ExpNetFeatures(FaceNetwork):
    """Expression features (2048) and expression coefficients (29) of the main face, by ExpNet.

    One row per frame and feature: ``expnet``, float32 ``(2048,)``, ResNet-101's global average;
    ``expnet_coeffs``, float32 ``(29,)``, the layer after it: coefficients of the expression in a
    3D face model. Chang et al., "ExpNet: Landmark-Free, Deep, 3D Facial Expressions", FG 2018.
    Input: BGR, 0 to 255, less a mean image. A frame without a face is NaN and invalid.

    By default the aligned face, or a crop of another size, is scaled to 224 x 224 bilinearly, as
    rasipuram2020 must have done with 112 x 112 faces (the rule is ours). ``crop=authors`` takes the
    authors' own square of 227 x 227 round the box, scaled by TensorFlow 1's rule, which puts pixel
    centres elsewhere.
    """

    class Params(NetworkParams):
        """What changes the numbers."""

        crop: Literal["aligned", "authors"] = Field(
            "aligned", description="the slot that is read: face, or the authors' square"
        )
        mean: Literal["expression", "shape"] = Field(
            "expression",
            description="the mean image: the network's own, or the one that the authors' code "
            "subtracts by mistake",
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="expnet",
            rate="frame",
            dims=(FEATURES,),
            dtype="float32",
            description="expression features of the main face, by ExpNet",
        ),
        FeatureSpec(
            name="expnet_coeffs",
            rate="frame",
            dims=(COEFFICIENTS,),
            dtype="float32",
            description="expression coefficients of a 3D face model, by ExpNet",
        ),
    )
    weights_name = "expnet"
    scales = True
    params: Params

    @staticmethod
    def inputs_for(params: ExpNetFeatures.Params) -> tuple[str, ...]:
        """The one slot that is read."""
        return ("square",) if params.crop == "authors" else ("face",)

    @classmethod
    def weights_for(cls, params: NetworkParams) -> tuple[str, ...]:
        """The network's, and the other mean image if that is asked for."""
        names = super().weights_for(params)
        if names and isinstance(params, cls.Params) and params.mean == "shape":
            return (*names, "expnet-shape-mean")
        return names

    def setup(self, device: str) -> None:
        """Load the network.

        Raises:
            MissingWeights, WeightsDamaged: the user's weights aren't there or aren't sound.
        """
        # torch takes seconds to import; a plan needs the declaration alone
        from torch import Tensor

        from features.nets.conv_bn import fold
        from features.nets.expnet import SIZE, ExpNet, MeanImage
        from features.nets.filling import filled
        from features.nets.runner import PRECISIONS, Runner, placed, planes
        from features.nets.scaling import bilinear, bilinear_tf1

        net = fold(filled(ExpNet, self.weights_name, self.params.weights))
        if self.params.mean == "shape":
            other = filled(MeanImage, "expnet-shape-mean", self.params.weights)
            net.mean_image = other.mean_image
        net = placed(net, device)
        net.lower(PRECISIONS[self.params.precision])
        scaled = bilinear_tf1 if self.params.crop == "authors" else bilinear

        def forward(images: Tensor) -> tuple[Tensor, Tensor]:
            features, coefficients = net(scaled(planes(images, bgr=True), SIZE))
            return features, coefficients

        self.runner = Runner(forward, (FEATURES, COEFFICIENTS), device, GROUP[device])
