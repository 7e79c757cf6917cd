"""Features on one scale, by the training rows' statistics."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from storage.statistics import Statistics

#: standard deviations at which scaled values are clipped (our choice)
CLIP = 10.0
#: columns whose deviation is below this share of their largest value are constant
CONSTANT = 1e-7


class ZScore(nn.Module):
    """``(x - mean) / std`` per column, clipped at ±10.

    Constant columns, columns without a number, and NaN become 0. What it was fitted on is kept
    with the model's weights.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dims: tuple[int, ...], statistics: Statistics | None = None) -> None:
        """Without statistics everything becomes 0, until weights are loaded."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("scale", torch.zeros(dims))
        if statistics is not None:
            self._fit(statistics)

    def _fit(self, statistics: Statistics) -> None:
        largest = np.fmax(np.abs(statistics.min), np.abs(statistics.max))
        with np.errstate(invalid="ignore"):
            varies = statistics.std > CONSTANT * np.fmax(largest, 1e-30)
        scale = np.where(varies, 1.0 / np.where(varies, statistics.std, 1.0), 0.0)
        self.mean.copy_(torch.from_numpy(np.nan_to_num(statistics.mean)))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values ``(…, *dims)`` of any number type; float32 of the same shape."""
        scaled = (values.float() - self.mean) * self.scale
        return torch.nan_to_num(scaled, nan=0.0, posinf=CLIP, neginf=-CLIP).clamp(-CLIP, CLIP)
