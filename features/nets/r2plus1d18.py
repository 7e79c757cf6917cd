"""R(2+1)D-18: Tran, Wang, Torresani, Ray, LeCun and Paluri, CVPR 2018, section 3.

Each 3D convolution is one over the image, batch normalisation and ReLU, then one over time; the
number of channels between keeps the count of parameters. Names are torchvision's, so that its
public file of Kinetics-400 weights fits.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: channels of the four stages of two blocks each, and between the stem's two convolutions
STAGES, STEM = (64, 128, 256, 512), 45


def split(channels: int, out: int, between: int, stride: int) -> nn.Sequential:
    """3 x 3 over the image, then 3 over time."""
    return nn.Sequential(
        nn.Conv3d(channels, between, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, out, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class Block(nn.Module):
    """Two split convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        # one number for both convolutions of a block, of the first one's channels, as published
        between = (channels * out * 27) // (channels * 9 + 3 * out)
        self.conv1 = nn.Sequential(
            split(channels, out, between, stride), nn.BatchNorm3d(out), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(split(out, out, between, 1), nn.BatchNorm3d(out))
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, t, h, w) -> (n, out, t', h', w')``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.conv2(self.conv1(x)) + shortcut)


class R2Plus1D18(nn.Module):
    """Clips ``(n, channels, frames, 112, 112)`` -> logits ``(n, classes)``.

    ``features`` gives ``(n, 512)``; without ``classes`` there is no last layer, and ``forward``
    gives the features. Other ``stages`` make it narrower, the stem by the same measure.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int | None = 400,
        stages: tuple[int, int, int, int] = STAGES,
    ) -> None:
        super().__init__()
        stem = max(1, STEM * stages[0] // STAGES[0])
        self.stem = nn.Sequential(
            nn.Conv3d(channels, stem, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(stem),
            nn.ReLU(inplace=True),
            nn.Conv3d(stem, stages[0], (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(stages[0]),
            nn.ReLU(inplace=True),
        )
        before = stages[0]
        for i, out in enumerate(stages, 1):
            first = Block(before, out, 1 if i == 1 else 2)
            self.add_module(f"layer{i}", nn.Sequential(first, Block(out, out, 1)))
            before = out
        self.fc = nn.Identity() if classes is None else nn.Linear(before, classes)

    def features(self, x: Tensor) -> Tensor:
        """Global average of the last map, ``(n, 512)``."""
        x = self.stem(x)
        for i in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{i}")(x)
        return x.mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, or the features where there are none."""
        logits: Tensor = self.fc(self.features(x))
        return logits
