"""BN-Inception on maps of short-term features, and before an LSTM (Guo et al. 2018, model e)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from features.nets.bninception import BNInception
from features.nets.scaling import bilinear
from trainers.models.lstm_head import LSTM_INIT, LstmHead, classes_layer, in_pieces, widths
from trainers.models.scaling import ZScore

#: units of the LSTM (paper)
LSTM = 128
#: height and width of the network's input, px (ours: ImageNet's)
SIZE = 224
#: standard deviations on either side of the mean that become 0 and 255 (ours)
RANGE = 3.0
#: taken off the three equal channels: BGR means that the public weights were trained with
MEAN_BGR = (104.0, 117.0, 128.0)


class MapClassifier(nn.Module):
    """BN-Inception with emotions as its classes: stage 1.

    Input ``x``: maps ``(n, 1, rows, 34)`` of short-term features; output: logits ``(n, classes)``.
    A map is z-scored per feature, brought to 0..255, repeated to three channels and scaled
    bilinearly: features from top to bottom, time from left to right.
    """

    mean: Tensor

    def __init__(self, scaling: ZScore, classes: int, scale: float = 1.0, size: int = SIZE) -> None:
        super().__init__()
        self.scaling, self.size = scaling, size
        self.net = BNInception(classes=classes, scale=scale)
        self.net.last_linear = classes_layer(self.net.width, classes)
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[:, None, None], persistent=False)

    def pictures(self, maps: Tensor) -> Tensor:
        """``(n, rows, 34)`` -> ``(n, 3, size, size)``, 0..255 less the means."""
        scaled = self.scaling(maps).clamp(-RANGE, RANGE)
        grey = (scaled + RANGE) * (255 / (2 * RANGE))
        return bilinear(grey.transpose(1, 2)[:, None], self.size) - self.mean

    def pooled(self, maps: Tensor) -> Tensor:
        """``(n, rows, 34)`` -> the global average pool, ``(n, 1024)``."""
        return self.net.features(self.pictures(maps))

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Logits of each map, ``(n, classes)``."""
        logits: Tensor = self.net.last_linear(in_pieces(self.pooled, values["x"][:, 0]))
        return logits


class InceptionLstm(nn.Module):
    """All up to the global pool of a ``MapClassifier``, then an LSTM of 128: stage 2.

    Input ``x``: maps ``(n, steps, rows, 34)``; output: logits ``(n, classes)``.
    """

    def __init__(
        self, maps: MapClassifier, classes: int, scale: float = 1.0, init: float = LSTM_INIT
    ) -> None:
        super().__init__()
        width = maps.net.width
        maps.net.last_linear = nn.Identity()
        self.maps = maps
        self.head = LstmHead(width, widths(LSTM, scale), classes, init)

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Logits of each sequence."""
        maps = values["x"]
        steps = in_pieces(self.maps.pooled, maps.flatten(0, 1))
        logits: Tensor = self.head(steps.reshape(*maps.shape[:2], -1))
        return logits
