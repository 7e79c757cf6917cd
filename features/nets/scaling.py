"""Scaling of square crops to a network's input, by two rules."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bilinear(pixels: Tensor, size: int) -> Tensor:
    """Float ``(n, c, h, w) -> (n, c, size, size)`` with pixel centres at halves."""
    if pixels.shape[2:] == (size, size):
        return pixels
    return functional.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)


def bilinear_tf1(pixels: Tensor, size: int) -> Tensor:
    """The same by TensorFlow 1's default rule: pixel i of the result lies at i * h / size.

    The last rows and columns repeat the border; centres aren't at halves.
    """
    for axis in (2, 3):
        length = pixels.shape[axis]
        at = torch.arange(size, dtype=torch.float32, device=pixels.device) * (length / size)
        low = at.floor().long()
        high = (low + 1).clamp(max=length - 1)
        share = (at - low).view((-1, 1) if axis == 2 else (-1,))
        before, after = pixels.index_select(axis, low), pixels.index_select(axis, high)
        pixels = before + (after - before) * share
    return pixels
