"""ANet of Peng et al. 2018: VGG-16 on spectrum maps of 3 s."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from features.nets.vgg16 import LAYOUT

#: shape of a map: bins, frames, real and imaginary part
MAP = (257, 300, 2)
#: what comes out of the convolutions of a map: without padding in the first one, which gives the
#: published 7 x 9 (with it there would be 8 x 9)
HEIGHT, WIDTH = 7, 9
#: widths of the two layers behind the convolutions, and their dropout
HIDDEN, FEATURES, DROPOUT = 4096, 512, 0.5
CHANNELS = MAP[2]
#: root mean square of a map of speech (measured: .012 to .032). The first convolution, which no
#: public weights fit, starts so that behind it numbers are of the size that VGG-16's layers
#: expect; with torch's own start nothing is learned from maps that small (ours)
MAP_RMS = 0.025
#: what a max pool does to numbers' size; convolutions before one start smaller by it, where there
#: are no weights, since five of them would otherwise drive tanh to its ends (measured, ours)
POOL_GAIN = 1.5
#: of VGG-16's tensors, those that ANet has not or has in another shape; and its own
OTHER_THAN_VGG = ("features.0.", "classifier.", "fc.")


class ANet(nn.Module):
    """Maps of an utterance -> one row of numbers.

    The convolutions have the names of VGG-16's, so that its public weights fit them.

    Args:
        scale: widths times this.
        height, width: of what the convolutions give.
    """

    def __init__(self, scale: float = 1.0, height: int = HEIGHT, width: int = WIDTH) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = CHANNELS
        for out in LAYOUT:
            if not out:
                layers.append(nn.MaxPool2d(2))
                continue
            scaled = _scaled(out, scale)
            layers += [
                nn.Conv2d(channels, scaled, 3, padding=1 if layers else 0),
                nn.ReLU(inplace=True),
            ]
            channels = scaled
        self.features = nn.Sequential(*layers)
        self.width = _scaled(FEATURES, scale)
        hidden = _scaled(HIDDEN, scale)
        self.fc = nn.Sequential(
            nn.Linear(channels * height * width, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(DROPOUT),
            nn.Linear(hidden, self.width),
            nn.ReLU(inplace=True),
            nn.Dropout(DROPOUT),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, module.bias))
        with torch.no_grad():
            cast(nn.Conv2d, self.features[0]).weight /= MAP_RMS
            for i, layer in enumerate(self.features):
                if isinstance(layer, nn.MaxPool2d):
                    cast(nn.Conv2d, self.features[i - 2]).weight /= POOL_GAIN

    def forward(self, maps: Tensor) -> Tensor:
        """``(clips, maps, 257, 300, 2)`` -> ``(clips, 512)``, the mean over the maps.

        Each map's numbers are taken behind the second dropout.
        """
        planes = maps.flatten(0, 1).permute(0, 3, 1, 2)
        found: Tensor = self.fc(self.features(planes).flatten(1))
        return found.view(*maps.shape[:2], -1).mean(1)


def _scaled(width: int, scale: float) -> int:
    return max(4, round(width * scale))
