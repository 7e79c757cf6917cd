"""How warm and how green a frame is: a network with weights that the user adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from features.extractor import Batch, Params, extractor
from features.spec import FeatureSpec, Rows
from features.weights import Structure, Weights

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Weights(
    name="affect-tint",
    files=("weights.safetensors",),
    sha256s=(),
    source="the authors of the tint network",
    licence="CC0",
    commercial=True,
    purpose="frame_tint: two numbers from a frame's mean colour",
    converter="state_dict",
    structure=Structure("affect_brightness.tint:tint"),
)


def tint() -> nn.Module:
    """The network: one layer from red, green and blue to two numbers."""
    from torch import nn

    return nn.Linear(3, 2)


@extractor(name="frame_tint", version=1, reads="video", weights=("affect-tint",))
class FrameTint:
    """Warmth and greenness of the frame's mean colour."""

    class Params(Params):
        """Nothing to set."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec("frame_tint", "frame", (2,), "float32", columns=("warmth", "green")),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """Load the weights; an error says where to get them."""
        from features.weights import tensors

        self.net = tint()
        self.net.load_state_dict(tensors("affect-tint"))

    def extract(self, batch: Batch) -> Rows:
        """Two numbers per frame of the batch."""
        import torch

        assert batch.frames is not None
        colour = batch.frames.mean((1, 2), dtype=np.float64).astype(np.float32) / 255
        with torch.no_grad():
            values = self.net(torch.from_numpy(colour)).numpy()
        return Rows(values, np.ones(len(values), bool))
