"""SphereFace-20a: twenty layers with PReLU, 512 numbers that tell faces apart.

Liu, Wen, Yu, Li, Raj and Song, "SphereFace: Deep Hypersphere Embedding for Face Recognition",
CVPR 2017, table 2 (20 layers). Names are those of the public PyTorch weights.
"""

from __future__ import annotations

from torch import Tensor, nn

Stages = tuple[tuple[int, int], ...]

#: channels and number of residual pairs of the four stages
STAGES = ((64, 1), (128, 2), (256, 4), (512, 1))
#: height and width of the input, pixels; numbers that come out
HEIGHT, WIDTH, FEATURES = 112, 96, 512


class Sphere20a(nn.Module):
    """Faces ``(n, 3, 112, 96)``, (value - 127.5) / 128 -> features ``(n, 512)``, float32.

    ``stages``, ``height``, ``width`` and ``features`` make smaller networks of the same kind, for
    tests.
    """

    def __init__(
        self,
        stages: Stages = STAGES,
        height: int = HEIGHT,
        width: int = WIDTH,
        features: int = FEATURES,
    ) -> None:
        super().__init__()
        self.stages = stages
        channels = 3
        for stage, (out, pairs) in enumerate(stages, 1):
            for layer in range(1, 2 * pairs + 2):
                stride = 2 if layer == 1 else 1
                conv = nn.Conv2d(channels, out, 3, stride, 1)
                self.add_module(f"conv{stage}_{layer}", conv)
                self.add_module(f"relu{stage}_{layer}", nn.PReLU(out))
                channels = out
        halved = (height >> len(stages)) * (width >> len(stages))
        self.fc5 = nn.Linear(channels * halved, features)

    def forward(self, pixels: Tensor) -> Tensor:
        """Layer fc5, which is not normalised."""
        x = pixels.to(self.fc5.weight.dtype)
        for stage, (_, pairs) in enumerate(self.stages, 1):
            x = self._layer(x, f"{stage}_1")
            for pair in range(1, pairs + 1):
                inner = self._layer(x, f"{stage}_{2 * pair}")
                x = x + self._layer(inner, f"{stage}_{2 * pair + 1}")
        features: Tensor = self.fc5(x.flatten(1))
        return features.float()

    def _layer(self, x: Tensor, name: str) -> Tensor:
        y: Tensor = self.get_submodule(f"relu{name}")(self.get_submodule(f"conv{name}")(x))
        return y
