"""The residual networks of ArcFace: 512 numbers that tell faces apart.

He, Zhang, Ren and Sun, CVPR 2016, as changed for faces by Deng, Guo, Xue and Zafeiriou, "ArcFace:
Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019; layers and names are those of
the public PyTorch version (recognition/arcface_torch of github.com/deepinsight/insightface), whose
weights fit.
"""

from __future__ import annotations

from torch import Tensor, nn

#: blocks of the four stages, by the name of the network; channels of the stages
R50, R100 = (3, 4, 14, 3), (3, 13, 30, 3)
CHANNELS = (64, 128, 256, 512)
#: side of the input, pixels; numbers that come out
SIDE, FEATURES = 112, 512


class Block(nn.Module):
    """Normalisation, two 3 x 3 convolutions, the stride in the second, beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.prelu = nn.PReLU(out)
        self.conv2 = nn.Conv2d(out, out, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w) -> (n, out, h', w')``; nothing follows the sum."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        shortcut = x if self.downsample is None else self.downsample(x)
        summed: Tensor = self.bn3(self.conv2(y)) + shortcut
        return summed


class IResNet(nn.Module):
    """RGB faces ``(n, 3, 112, 112)``, (value - 127.5) / 127.5 -> features ``(n, 512)``.

    ``blocks``, ``channels``, ``side`` and ``features`` make smaller networks of the same kind, for
    tests.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        channels: tuple[int, ...] = CHANNELS,
        side: int = SIDE,
        features: int = FEATURES,
    ) -> None:
        super().__init__()
        before = channels[0]
        self.conv1 = nn.Conv2d(3, before, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.prelu = nn.PReLU(before)
        self.stages = len(blocks)
        for stage, (count, out) in enumerate(zip(blocks, channels, strict=True), 1):
            first = Block(before, out, 2)
            others = (Block(out, out, 1) for _ in range(count - 1))
            self.add_module(f"layer{stage}", nn.Sequential(first, *others))
            before = out
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * (side >> self.stages) ** 2, features)
        self.features = nn.BatchNorm1d(features)

    def forward(self, pixels: Tensor) -> Tensor:
        """The last layer's numbers, whose direction alone tells who it is."""
        x = self.prelu(self.bn1(self.conv1(pixels)))
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        features: Tensor = self.features(self.fc(self.bn2(x).flatten(1)))
        return features


class IResNet50(IResNet):
    """With 24 blocks."""

    def __init__(self) -> None:
        super().__init__(R50)


class IResNet100(IResNet):
    """With 49 blocks, the largest of the paper."""

    def __init__(self) -> None:
        super().__init__(R100)
