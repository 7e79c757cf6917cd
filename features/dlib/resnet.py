"""dlib's face recognition network: 150 x 150 faces to 128 numbers, in torch.

The architecture is that of dlib's example dnn_face_recognition_ex.cpp (King 2017, public domain
weights): 29 convolutions, each followed by an affine layer, in 14 residual blocks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from features.dlib.weights_file import Layer, layers
from features.errors import WeightsDamaged

#: numbers that describe a face
DIMENSIONS = 128
#: taken from red, green and blue before the division; dlib's input layer
MEAN_RGB, SCALE = (122.782, 117.001, 104.298), 256.0
#: (channels, halves the sides) of each residual block, from the input on
BLOCKS = (
    *((32, False),) * 3,
    *((64, True), (64, False), (64, False), (64, False)),
    *((128, True), (128, False), (128, False)),
    *((256, True), (256, False), (256, False)),
    (256, True),
)
STEM = 32


class Unit(nn.Module):
    """A convolution and the affine layer behind it, as one: dlib pads only where it keeps size."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, inside, h, w)`` to ``(n, outside, h', w')``."""
        return self.conv(x)  # type: ignore[no-any-return]

    def load(self, conv: Layer, affine: Layer) -> None:
        """Fold ``affine(conv(x))`` into one convolution's weights.

        Raises:
            WeightsDamaged: the layers are others.
        """
        outside, weights = self.conv.out_channels, self.conv.weight
        fit = (conv.name, affine.name) == ("con_4", "affine_")
        if not fit or len(conv.values) != weights.numel() + outside:
            raise WeightsDamaged(f"dlib's network has no {tuple(weights.shape)} in this place")
        filters = conv.values[:-outside].astype(np.float64).reshape(weights.shape)
        gamma, beta = affine.values.astype(np.float64).reshape(2, outside)
        bias = conv.values[-outside:] * gamma + beta
        with torch.no_grad():
            weights.copy_(torch.from_numpy(filters * gamma[:, None, None, None]))
            self.conv.bias.copy_(torch.from_numpy(bias))  # type: ignore[union-attr]


class Block(nn.Module):
    """Two units beside a short cut; where it halves, the short cut takes means of 2 x 2."""

    def __init__(self, inside: int, outside: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.one = Unit(inside, outside, 3, 2 if halves else 1)
        self.two = Unit(outside, outside, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, inside, h, w)`` to ``(n, outside, h', w')``."""
        made = self.two(functional.relu(self.one(x)))
        return functional.relu(_add(made, functional.avg_pool2d(x, 2) if self.halves else x))


class FaceNet(nn.Module):
    """Aligned faces to 128 numbers; those of one person lie within about 0.6 of each other."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3, STEM, 7, 2)
        inside, blocks = STEM, []
        for outside, halves in BLOCKS:
            blocks.append(Block(inside, outside, halves))
            inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(inside, DIMENSIONS, bias=False)
        self.register_buffer("mean", torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1))

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        """uint8 ``(n, 150, 150, 3)`` RGB to float32 ``(n, 128)``."""
        x = (chips.permute(0, 3, 1, 2).float() - self.mean) / SCALE
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2)
        return self.last(self.blocks(x).mean((2, 3)))  # type: ignore[no-any-return]

    @property
    def units(self) -> list[Unit]:
        """In the order of the file."""
        return [module for module in self.modules() if isinstance(module, Unit)]


def load(data: bytes) -> FaceNet:
    """The network with the weights of dlib_face_recognition_resnet_model_v1.dat.

    Raises:
        WeightsDamaged: the file is another network's.
    """
    net = FaceNet()
    *pairs, last = layers(data)
    if len(pairs) != 2 * len(net.units) or len(last.values) != net.last.weight.numel():
        raise WeightsDamaged("this is not dlib's face recognition network; get its file again")
    for unit, conv, affine in zip(net.units, pairs[::2], pairs[1::2], strict=True):
        unit.load(conv, affine)
    with torch.no_grad():
        # dlib multiplies from the left: one column per output
        weights = last.values.reshape(net.last.in_features, DIMENSIONS).T.copy()
        net.last.weight.copy_(torch.from_numpy(weights))
    return net.eval().requires_grad_(False)


def _add(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Sum of tensors of different sizes: dlib fills the smaller with zeros behind its end."""
    shape = [max(a, b) for a, b in zip(one.shape, other.shape, strict=True)]
    return _filled(one, shape) + _filled(other, shape)


def _filled(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    behind = [(0, want - have) for have, want in zip(x.shape, shape, strict=True)]
    if not any(more for _, more in behind):
        return x
    return functional.pad(x, [n for pair in reversed(behind) for n in pair])
