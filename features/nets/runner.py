"""Calls a network on any number of images, always with the same number of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.nets.exact import exact
from features.spec import Rows

#: a batch of uint8 ``(n, h, w, 3)`` RGB images on the device -> the network's outputs ``(n, k)``
Forward = Callable[[Tensor], Sequence[Tensor]]

N = TypeVar("N", bound=nn.Module)

#: names of the parameter ``precision`` -> type of the networks' arithmetic
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Runner:
    """A network's forward pass over the valid rows of crops.

    Images are taken in groups of one size, the last one filled up with black, so that a row's
    numbers depend neither on how many there are nor on where a batch was cut.
    """

    def __init__(self, forward: Forward, widths: Sequence[int], device: str, group: int) -> None:
        self.forward, self.widths, self.device, self.group = forward, tuple(widths), device, group

    def __call__(self, crops: Rows) -> tuple[Rows, ...]:
        """One ``Rows`` of float32 ``(n, width)`` per output; NaN where the crop is invalid."""
        made = [np.full((crops.rows, width), np.nan, np.float32) for width in self.widths]
        where = np.flatnonzero(crops.valid)
        for start in range(0, len(where), self.group):
            rows = where[start : start + self.group]
            images = np.zeros((self.group, *crops.values.shape[1:]), np.uint8)
            images[: len(rows)] = crops.values[rows]
            for values, output in zip(made, self._outputs(images), strict=True):
                values[rows] = output[: len(rows)]
        return tuple(Rows(values, crops.valid, crops.t0, crops.step) for values in made)

    def _outputs(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        with torch.inference_mode(), exact(self.device):
            outputs = self.forward(torch.from_numpy(images).to(self.device))
            return [output.float().cpu().numpy() for output in outputs]


def placed(net: N, device: str) -> N:
    """The network on its device, its convolutions laid out for maps with channels last."""
    return net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def planes(images: Tensor, *, bgr: bool) -> Tensor:
    """uint8 RGB ``(n, h, w, 3)`` -> float32 ``(n, 3, h, w)``, 0 to 255, BGR if asked."""
    pixels = images.flip(-1) if bgr else images
    return pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
