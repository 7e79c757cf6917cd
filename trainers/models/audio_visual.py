"""Arousal and valence from ANet, VNet, or both side by side (Peng et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainers.models.anet import ANet
from trainers.models.vnet import VNet

#: names of the inputs, and what the network puts out, in order
MAPS, FACES = "maps", "faces"
LABELS = ("arousal", "valence")


class AudioVisual(nn.Module):
    """A linear layer over the numbers of ANet (if given), then of VNet (if given).

    With one of the two it is the network that is trained alone.
    """

    def __init__(self, anet: ANet | None, vnet: VNet | None) -> None:
        super().__init__()
        self.anet, self.vnet = anet, vnet
        self.head = nn.Linear(sum(part.width for part in (anet, vnet) if part), len(LABELS))

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Maps ``(clips, maps, 257, 300, 2)`` and faces ``(clips, steps, …)`` -> ``(clips, 2)``.

        The values are in -1..1.
        """
        parts = []
        if self.anet is not None:
            parts.append(self.anet(values[MAPS]))
        if self.vnet is not None:
            parts.append(self.vnet(values[FACES]))
        return torch.tanh(self.head(torch.cat(parts, 1)))
