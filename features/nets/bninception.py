"""BN-Inception (Inception v2): Ioffe and Szegedy, ICML 2015, figure 5.

Names are those of the public PyTorch file of ImageNet weights, a conversion from Caffe: pooling
windows may stand out over the border, and convolutions before a normalisation have a bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

#: numbers after the global average pool
FEATURES = 1024


@dataclass(frozen=True)
class Mixed:
    """Channels of one inception module; a module with ``stride`` 2 has no 1 x 1 and no projection.

    Attributes:
        one: of the 1 x 1 branch; 0: none.
        three: of the 3 x 3 branch: reduction, convolution.
        double: of the double 3 x 3 branch: reduction, both convolutions.
        pool: kind of the pooling branch.
        project: channels of its 1 x 1 convolution; 0: none.
    """

    name: str
    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: Literal["average", "max"]
    project: int

    @property
    def stride(self) -> int:
        """1, or 2 where the map is halved."""
        return 1 if self.one else 2

    def scaled(self, scale: float) -> Mixed:
        """The module with all widths times ``scale``."""
        one, project = _scaled(self.one, scale), _scaled(self.project, scale)
        three = (_scaled(self.three[0], scale), _scaled(self.three[1], scale))
        double = (_scaled(self.double[0], scale), _scaled(self.double[1], scale))
        return Mixed(self.name, one, three, double, self.pool, project)


MODULES = (
    Mixed("3a", 64, (64, 64), (64, 96), "average", 32),
    Mixed("3b", 64, (64, 96), (64, 96), "average", 64),
    Mixed("3c", 0, (128, 160), (64, 96), "max", 0),
    Mixed("4a", 224, (64, 96), (96, 128), "average", 128),
    Mixed("4b", 192, (96, 128), (96, 128), "average", 128),
    Mixed("4c", 160, (128, 160), (128, 160), "average", 128),
    Mixed("4d", 96, (128, 192), (160, 192), "average", 128),
    Mixed("4e", 0, (128, 192), (192, 256), "max", 0),
    Mixed("5a", 352, (192, 320), (160, 224), "average", 128),
    Mixed("5b", 352, (192, 320), (192, 224), "max", 128),
)


class BNInception(nn.Module):
    """Images ``(n, channels, 224, 224)`` -> logits ``(n, classes)``; ``features``: ``(n, 1024)``.

    Without ``classes`` there is no last layer, and ``forward`` gives the features. ``scale`` of
    all widths makes smaller networks of the same kind, for tests.

    Attributes:
        width: numbers of ``features``.
    """

    def __init__(self, channels: int = 3, classes: int | None = 1000, scale: float = 1.0) -> None:
        super().__init__()
        first, second = _scaled(64, scale), _scaled(192, scale)
        self._add("conv1_7x7_s2", channels, first, 7, stride=2)
        self._add("conv2_3x3_reduce", first, first, 1)
        self._add("conv2_3x3", first, second, 3)
        width = second
        self.modules_used = tuple(mixed.scaled(scale) for mixed in MODULES)
        for mixed in self.modules_used:
            width = self._add_mixed(mixed, width)
        self.width = width
        self.last_linear: nn.Module = (
            nn.Identity() if classes is None else nn.Linear(width, classes)
        )

    def features(self, x: Tensor) -> Tensor:
        """Global average of the last map, ``(n, 1024)``."""
        x = _halve(self._layer(x, "conv1_7x7_s2"))
        x = self._layer(x, "conv2_3x3_reduce")
        x = _halve(self._layer(x, "conv2_3x3"))
        for mixed in self.modules_used:
            x = self._mix(x, mixed)
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, or the features where there are none."""
        logits: Tensor = self.last_linear(self.features(x))
        return logits

    def _add_mixed(self, mixed: Mixed, width: int) -> int:
        """The layers of one inception module; returns its channels."""
        at, stride = f"inception_{mixed.name}", mixed.stride
        if mixed.one:
            self._add(f"{at}_1x1", width, mixed.one, 1)
        self._add(f"{at}_3x3_reduce", width, mixed.three[0], 1)
        self._add(f"{at}_3x3", *mixed.three, 3, stride=stride)
        self._add(f"{at}_double_3x3_reduce", width, mixed.double[0], 1)
        self._add(f"{at}_double_3x3_1", *mixed.double, 3)
        self._add(f"{at}_double_3x3_2", mixed.double[1], mixed.double[1], 3, stride=stride)
        if mixed.project:
            self._add(f"{at}_pool_proj", width, mixed.project, 1)
        pooled = mixed.project or width
        return mixed.one + mixed.three[1] + mixed.double[1] + pooled

    def _mix(self, x: Tensor, mixed: Mixed) -> Tensor:
        """One inception module: its branches side by side."""
        at = f"inception_{mixed.name}"
        branches = [self._layer(x, f"{at}_1x1")] if mixed.one else []
        branches.append(self._layer(self._layer(x, f"{at}_3x3_reduce"), f"{at}_3x3"))
        double = self._layer(x, f"{at}_double_3x3_reduce")
        double = self._layer(double, f"{at}_double_3x3_1")
        branches.append(self._layer(double, f"{at}_double_3x3_2"))
        if mixed.stride == 2:
            branches.append(_halve(x))
        else:
            pool = functional.avg_pool2d if mixed.pool == "average" else functional.max_pool2d
            branches.append(self._layer(pool(x, 3, 1, 1), f"{at}_pool_proj"))
        return torch.cat(branches, dim=1)

    def _add(self, name: str, channels: int, out: int, kernel: int, *, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(channels, out, kernel, stride, kernel // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(out))

    def _layer(self, x: Tensor, name: str) -> Tensor:
        normalised: Tensor = self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x))
        return functional.relu(normalised)


def _halve(x: Tensor) -> Tensor:
    """3 x 3 max pooling, stride 2, the last window standing out over the border."""
    return functional.max_pool2d(x, 3, 2, ceil_mode=True)


def _scaled(channels: int, scale: float) -> int:
    """A number of channels times the scale; none stays none."""
    return max(1, round(channels * scale)) if channels else 0
