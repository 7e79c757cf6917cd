"""An LSTM over a sequence and a layer of classes on its last step (Guo et al. 2018)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

#: bound of the uniform numbers that LSTM weights start from; biases start at 0 (paper)
LSTM_INIT = 0.01
#: standard deviation of the numbers that a layer of classes starts from: variance 1e-4 (paper)
CLASSES_STD = 0.01


class LstmHead(nn.Module):
    """``(n, steps, inputs)`` and a mask ``(n, steps)`` -> logits ``(n, classes)``.

    The logits are of the last step that the mask has; steps after it don't count.
    """

    def __init__(self, inputs: int, hidden: int, classes: int, init: float = LSTM_INIT) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.uniform_(weight, -init, init)
            else:
                nn.init.zeros_(weight)
        self.classes = classes_layer(hidden, classes)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Logits of each sequence."""
        found = cast(Tensor, self.lstm(steps)[0])
        last = mask.sum(1).clamp(min=1).long() - 1
        chosen = found[torch.arange(len(found), device=found.device), last]
        logits: Tensor = self.classes(chosen)
        return logits


def classes_layer(inputs: int, classes: int) -> nn.Linear:
    """A new last layer: normal numbers of variance 1e-4, biases 0."""
    layer = nn.Linear(inputs, classes)
    nn.init.normal_(layer.weight, std=CLASSES_STD)
    nn.init.zeros_(layer.bias)
    return layer


def widths(count: int, scale: float) -> int:
    """A width times the scale, at least 4."""
    return max(4, round(count * scale))
