"""An LSTM over a sequence and a layer of classes on its last step (Guo et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

#: bound of the uniform numbers that LSTM weights start from; biases start at 0 (paper)
LSTM_INIT = 0.01
#: standard deviation of the numbers that a layer of classes starts from: variance 1e-4 (paper)
CLASSES_STD = 0.01


class LstmHead(nn.Module):
    """Sequences ``(n, steps, inputs)`` -> logits ``(n, classes)``, of each one's last step."""

    def __init__(self, inputs: int, hidden: int, classes: int, init: float = LSTM_INIT) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.uniform_(weight, -init, init)
            else:
                nn.init.zeros_(weight)
        self.classes = classes_layer(hidden, classes)

    def forward(self, sequences: Tensor, steps: Tensor | None = None) -> Tensor:
        """Logits; ``steps`` ``(n,)`` are the steps that count, all of them if None."""
        found = cast(Tensor, self.lstm(sequences)[0])
        if steps is None:
            chosen = found[:, -1]
        else:
            chosen = found[torch.arange(len(found), device=found.device), steps.long() - 1]
        logits: Tensor = self.classes(chosen)
        return logits


def classes_layer(inputs: int, classes: int) -> nn.Linear:
    """A new last layer: normal numbers of variance 1e-4, biases 0."""
    layer = nn.Linear(inputs, classes)
    nn.init.normal_(layer.weight, std=CLASSES_STD)
    nn.init.zeros_(layer.bias)
    return layer


#: pictures that go through a network at once where no gradients are kept
INFERENCE_BATCH = 64


def in_pieces(net: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """The net's numbers of all pictures; without gradients, some at a time to save memory."""
    if torch.is_grad_enabled():
        return net(pictures)
    return torch.cat([net(piece) for piece in torch.split(pictures, INFERENCE_BATCH)])


def widths(count: int, scale: float) -> int:
    """A width times the scale, at least 4."""
    return max(4, round(count * scale))
