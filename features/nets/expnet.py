"""ExpNet: a ResNet-101 that regresses 29 expression coefficients of a 3D face model.

Chang, Tran, Hassner, Masi, Nevatia and Medioni, "ExpNet: Landmark-Free, Deep, 3D Facial
Expressions", FG 2018. Layers, sizes and borders follow the authors' released network, a
conversion of He et al.'s Caffe model: stride in a block's first 1 x 1 convolutions, and
TensorFlow's SAME borders, which put the odd pixel behind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.nets.conv_bn import ConvBN

#: blocks of the four stages (ResNet-101), and channels of the first map
BLOCKS, WIDTH = (3, 4, 23, 3), 64
#: height and width of the input, pixels
SIZE = 224
#: expression coefficients
COEFFICIENTS = 29


class Block(nn.Module):
    """A bottleneck beside a shortcut: 1 x 1, 3 x 3 and 1 x 1 convolutions, the stride first."""

    def __init__(self, channels: int, inner: int, *, stride: int, project: bool) -> None:
        super().__init__()
        self.branch1 = ConvBN(channels, 4 * inner, 1, stride=stride) if project else None
        self.branch2a = ConvBN(channels, inner, 1, stride=stride)
        self.branch2b = ConvBN(inner, inner, 3, padding=1)
        self.branch2c = ConvBN(inner, 4 * inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w) -> (n, 4 * inner, h', w')``."""
        y = self.branch2b(self.branch2a(x, relu=True), relu=True)
        shortcut = x if self.branch1 is None else self.branch1(x)
        out: Tensor = self.branch2c(y, add=shortcut, relu=True)
        return out


class ExpNet(nn.Module):
    """BGR faces ``(n, 3, 224, 224)``, 0 to 255 -> features ``(n, 2048)``, coefficients ``(n, 29)``.

    The buffer ``mean_image`` (3, 224, 224; BGR) is subtracted first. ``blocks`` and ``width`` make
    smaller networks of the same kind, for tests.
    """

    mean_image: Tensor

    def __init__(self, blocks: tuple[int, ...] = BLOCKS, width: int = WIDTH) -> None:
        super().__init__()
        self.register_buffer("mean_image", torch.zeros(3, SIZE, SIZE))
        self.conv1 = ConvBN(3, width, 7, stride=2)
        self.blocks = nn.ModuleDict()
        channels = width
        for stage, count in enumerate(blocks):
            inner = width * 2**stage
            for i, name in enumerate(block_names(stage + 2, count)):
                stride = 2 if i == 0 and stage > 0 else 1
                self.blocks[name] = Block(channels, inner, stride=stride, project=i == 0)
                channels = 4 * inner
        self.coefficients = nn.Linear(channels, COEFFICIENTS)

    def lower(self, dtype: torch.dtype) -> None:
        """Make the maps' arithmetic of that type; mean image, pool and last layer stay float32."""
        self.conv1.to(dtype)
        self.blocks.to(dtype)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Features after the global average pool, and the coefficients made of them; float32."""
        x = (pixels - self.mean_image).to(self.conv1.conv.weight.dtype)
        x = functional.pad(x, (2, 3, 2, 3))
        if self.conv1.bn is None:
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.conv1(x, relu=True)
        x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        for block in self.blocks.values():
            x = block(x)
        features = x.float().mean((2, 3))
        return features, self.coefficients(features)


def block_names(stage: int, count: int) -> list[str]:
    """The Caffe names of a stage's blocks: res2a, res2b, res2c; res3a, res3b1, res3b2, …"""
    if stage in (3, 4):
        return [f"res{stage}a", *(f"res{stage}b{i}" for i in range(1, count))]
    return [f"res{stage}{chr(ord('a') + i)}" for i in range(count)]


class MeanImage(nn.Module):
    """An image to subtract in place of the network's own: ``mean_image`` (3, 224, 224), BGR."""

    mean_image: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_image", torch.zeros(3, SIZE, SIZE))
