"""A convolution with batch normalisation behind it, and the two as one for inference."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from features.nets.fused import convolve

N = TypeVar("N", bound=nn.Module)


class ConvBN(nn.Module):
    """Convolution without bias, then batch normalisation: ``(n, in, h, w) -> (n, out, h', w')``."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(out, eps=1e-5)

    def forward(self, x: Tensor, *, add: Tensor | None = None, relu: bool = False) -> Tensor:
        """The normalised map, plus ``add``, through a ReLU if asked.

        A folded layer may write its result over ``add``.
        """
        if self.bn is None:
            return convolve(self.conv, x, add=add, relu=relu)
        y: Tensor = self.bn(self.conv(x))
        if add is not None:
            y = y + add
        return functional.relu(y) if relu else y


def fold(net: N) -> N:
    """The same network with each batch normalisation folded into its convolution, in place.

    The numbers stay equal but for rounding. For inference only; the network has to be in
    evaluation mode.
    """
    for module in net.modules():
        if isinstance(module, ConvBN) and module.bn is not None:
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = None
    return net
