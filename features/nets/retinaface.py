"""RetinaFace on a ResNet-50: faces as boxes, scores and five points, over three scales.

Deng, Guo, Ververas, Kotsia and Zafeiriou, "RetinaFace: Single-shot Multi-level Face Localisation
in the Wild", CVPR 2020; the layers are those of the public PyTorch version
(github.com/biubug6/Pytorch_Retinaface), whose weights fit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: blocks of the four stages of a ResNet-50, and channels of the first map
BLOCKS, WIDTH = (3, 4, 6, 3), 64
#: of the last stages three feed the pyramid, whose maps have so many channels
LEVELS, CHANNELS = 3, 256
#: anchors per place of a map; numbers per box and per face's points
ANCHORS, BOX, POINTS = 2, 4, 10


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut, the stride in the 3 x 3 one."""

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        outside = 4 * inner
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w) -> (n, 4 * inner, h', w')``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + shortcut)


class Body(nn.Module):
    """The maps of a ResNet's last three stages, at 1/8, 1/16 and 1/32 of the size."""

    def __init__(self, blocks: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels, stages = width, []
        for i, count in enumerate(blocks):
            stage = nn.Sequential()
            for block in range(count):
                stride = 2 if i and not block else 1
                stage.append(Bottleneck(channels, width << i, stride))
                channels = 4 * (width << i)
            stages.append(stage)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> list[Tensor]:
        """Three maps, the largest first."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        x = self.layer1(x)
        for stage in (self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class Pyramid(nn.Module):
    """Adds the coarser maps to the finer ones, each first brought to one number of channels."""

    def __init__(self, channels: list[int], out: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_unit(c, out, 1) for c in channels)
        self.merge1, self.merge2 = _unit(out, out, 3), _unit(out, out, 3)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Three maps of ``out`` channels, sizes as they came."""
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[2:]))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[2:]))
        return [fine, middle, coarse]


class Context(nn.Module):
    """What lies around a place: 3 x 3, 5 x 5 and 7 x 7 pixels of the map, side by side (SSH)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.near = _unit(channels, half, 3, ends=False)
        self.middle1 = _unit(channels, quarter, 3)
        self.middle2 = _unit(quarter, quarter, 3, ends=False)
        self.far2 = _unit(quarter, quarter, 3)
        self.far3 = _unit(quarter, quarter, 3, ends=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to the same shape."""
        wider = self.middle1(x)
        parts = [self.near(x), self.middle2(wider), self.far3(self.far2(wider))]
        return functional.relu(torch.cat(parts, 1))


class RetinaFace(nn.Module):
    """BGR images minus the mean, ``(n, 3, h, w)`` -> raw answers for every anchor.

    ``blocks``, ``width`` and ``channels`` make smaller networks of the same kind, for tests.
    """

    def __init__(
        self, blocks: tuple[int, ...] = BLOCKS, width: int = WIDTH, channels: int = CHANNELS
    ) -> None:
        super().__init__()
        self.body = Body(blocks, width)
        self.fpn = Pyramid([4 * (width << i) for i in (1, 2, 3)], channels)
        self.context = nn.ModuleList(Context(channels) for _ in range(LEVELS))
        self.faces, self.boxes, self.points = (
            nn.ModuleList(nn.Conv2d(channels, ANCHORS * size, 1) for _ in range(LEVELS))
            for size in (2, BOX, POINTS)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores ``(n, anchors)`` 0 to 1, boxes ``(n, anchors, 4)``, points ``(…, 10)``.

        Anchors are in order of the maps, rows, columns, then sizes.
        """
        maps = self.fpn(self.body(images))
        maps = [context(x) for context, x in zip(self.context, maps, strict=True)]
        faces, boxes, points = (
            torch.cat([_flat(head(x), size) for head, x in zip(heads, maps, strict=True)], 1)
            for heads, size in ((self.faces, 2), (self.boxes, BOX), (self.points, POINTS))
        )
        return faces.softmax(2)[..., 1], boxes, points


def _unit(channels: int, out: int, kernel: int, *, ends: bool = True) -> nn.Sequential:
    """A convolution and its batch normalisation, and a ReLU if it ends there."""
    parts: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*parts, *([nn.ReLU()] if ends else []))


def _flat(x: Tensor, size: int) -> Tensor:
    """``(n, anchors * size, h, w)`` to ``(n, h * w * anchors, size)``."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, size)
