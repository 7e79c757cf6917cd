"""VGG-Face: VGG-16, trained to tell 2,622 people apart.

Parkhi, Vedaldi and Zisserman, "Deep Face Recognition", BMVC 2015, table 3 (network D). Names are
those of the authors' layers.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from features.nets.fused import convolve

Stages = tuple[tuple[int, int], ...]

#: channels and number of convolutions of the five stages
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
#: height and width of the input, pixels; numbers of a hidden dense layer; people
SIZE, HIDDEN, PEOPLE = 224, 4096, 2622
#: RGB means of the training images, subtracted from 0..255 (Parkhi et al.'s released model)
MEAN_RGB = (129.1863, 104.7624, 93.5940)


class VggFace16(nn.Module):
    """RGB faces ``(n, 3, 224, 224)``, 0 to 255 less ``MEAN_RGB`` -> fc6 ``(n, 4096)`` or logits.

    ``stages``, ``size`` and ``hidden`` make smaller networks of the same kind, for tests.
    """

    def __init__(
        self, stages: Stages = STAGES, size: int = SIZE, hidden: int = HIDDEN, people: int = PEOPLE
    ) -> None:
        super().__init__()
        self.stages = stages
        channels = 3
        for stage, (out, layers) in enumerate(stages, 1):
            for layer in range(1, layers + 1):
                self.add_module(f"conv{stage}_{layer}", nn.Conv2d(channels, out, 3, 1, 1))
                channels = out
        self.fc6 = nn.Linear(channels * (size >> len(stages)) ** 2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, people)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of the people ``(n, 2622)``."""
        x = functional.relu(self.features(pixels))
        logits: Tensor = self.fc8(functional.relu(self.fc7(x)))
        return logits

    def features(self, pixels: Tensor) -> Tensor:
        """Layer fc6 before its ReLU, ``(n, 4096)``."""
        x = pixels.to(self.fc6.weight.dtype)
        for stage, (_, layers) in enumerate(self.stages, 1):
            for layer in range(1, layers + 1):
                conv = self.get_submodule(f"conv{stage}_{layer}")
                x = convolve(cast(nn.Conv2d, conv), x, relu=True)
            x = functional.max_pool2d(x, 2)
        features: Tensor = self.fc6(x.flatten(1))
        return features
