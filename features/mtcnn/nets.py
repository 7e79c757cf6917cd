"""The three networks of MTCNN: proposal, refinement and output.

Layers and sizes: Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016, figure 2; pooling
windows may stand out over the border, as in Caffe, where the authors trained.

Each network returns raw values: columns 0-1 are the logits (no face, face), columns 2-5 the box
offsets as shares of the box's width and height, and the output network's 6-15 the five points,
all x first, as shares of the box.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: pixel values 0..255 -> about -1..1, as in training
PIXEL_MEAN, PIXEL_SCALE = 127.5, 0.0078125

LOGITS = slice(0, 2)
OFFSETS = slice(2, 6)
POINTS_X = slice(6, 11)
POINTS_Y = slice(11, 16)


class PNet(nn.Module):
    """Proposals: one answer for every second pixel, each about a window of 12 x 12 pixels.

    Answers are made in two steps, since few of the places are worth a full one: ``forward`` gives
    the features of every place, ``lead`` how far the face's logit is ahead, ``answer`` the rest.
    """

    WINDOW, STRIDE = 12, 2

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.heads = nn.Conv2d(32, 6, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with h, w >= 12 -> features ``(n, rows, columns, 32)``."""
        x = _halve(_halve(self.prelu1(self.conv1(pixels)), 2), 3)
        # channels last from here on: a quarter faster with many channels, slower with few
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.prelu2(self.conv2(x))
        x = self.prelu3(self.conv3(x))
        features: Tensor = x.permute(0, 2, 3, 1)
        return features

    def lead(self, features: Tensor) -> Tensor:
        """``(..., 32)`` -> ``(...)`` logit of a face less that of none, but for rounding."""
        weight, bias = self.heads.weight.flatten(1), self.heads.bias
        ahead: Tensor = features @ (weight[1] - weight[0])
        return ahead if bias is None else ahead + (bias[1] - bias[0])

    def answer(self, features: Tensor) -> Tensor:
        """``(k, 32)`` -> ``(k, 6)`` raw values, each row by itself."""
        weight, bias = self.heads.weight.flatten(1), self.heads.bias
        values = (features[:, None] * weight).sum(2)
        return values if bias is None else values + bias

    @staticmethod
    def places(height: int, width: int) -> tuple[int, int]:
        """Rows and columns of answers for an image of that size."""
        return -(-(height - 2) // 2) - 4, -(-(width - 2) // 2) - 4


class RNet(nn.Module):
    """Refinement: one answer for a crop of 24 x 24 pixels."""

    SIZE = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Conv2d(64, 128, 3), nn.PReLU(128)
        self.heads = nn.Conv2d(128, 6, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """``(n, 3, 24, 24)`` -> ``(n, 6)``."""
        x = _pool(self.prelu1(self.conv1(pixels)), 3)
        x = _pool(self.prelu2(self.conv2(x)), 3)
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(x))
        out: Tensor = self.heads(x)
        return out.flatten(1)


class ONet(nn.Module):
    """Output: one answer, with five points, for a crop of 48 x 48 pixels."""

    SIZE = 48

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Conv2d(128, 256, 3), nn.PReLU(256)
        self.heads = nn.Conv2d(256, 16, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """``(n, 3, 48, 48)`` -> ``(n, 16)``."""
        x = _pool(self.prelu1(self.conv1(pixels)), 3)
        x = _pool(self.prelu2(self.conv2(x)), 3)
        x = _pool(self.prelu3(self.conv3(x)), 2)
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(x))
        out: Tensor = self.heads(x)
        return out.flatten(1)


def face_score(values: Tensor) -> Tensor:
    """``(n, >= 2)`` raw values -> ``(n,)`` probability of a face."""
    return functional.softmax(values[:, LOGITS], dim=1)[:, 1]


def _pool(x: Tensor, window: int) -> Tensor:
    return functional.max_pool2d(x, window, 2, ceil_mode=True)


def _halve(x: Tensor, axis: int) -> Tensor:
    """Maximum of every two neighbours along an axis; an odd last one stands alone.

    Both axes in turn are exactly the 2 x 2 pooling, some ten times faster than torch's on large
    planar images on a CPU.
    """
    pairs = x.shape[axis] // 2
    both = x.narrow(axis, 0, 2 * pairs).unflatten(axis, (pairs, 2))  # type: ignore[no-untyped-call]
    larger = torch.maximum(both.select(axis + 1, 0), both.select(axis + 1, 1))
    if x.shape[axis] % 2 == 0:
        return larger
    return torch.cat([larger, x.narrow(axis, 2 * pairs, 1)], axis)
