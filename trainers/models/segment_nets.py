"""N audio-visual networks, one per temporal segment, whose class scores are summed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

#: channels of the convolution blocks (our choice)
WIDTHS = (32, 64, 128, 256)
#: colours of a crop; a spectrogram has one
COLOURS = 3


class SegmentNets(nn.Module):
    """Log probabilities of the classes, by the segments' mean probability.

    Args:
        segments: separate networks, with weights of their own.
        scale: widths times this; 1 is ours at full size.
    """

    def __init__(self, segments: int, classes: int, scale: float = 1.0) -> None:
        super().__init__()
        widths = tuple(max(1, round(width * scale)) for width in WIDTHS)
        self.nets = nn.ModuleList(AudioVisual(classes, widths) for _ in range(segments))

    def forward(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """``face`` uint8 ``(clips, segments, 224, 224, 3)`` RGB, ``sound`` float32 ``(clips,
        segments, 192, 120)``; gives ``(clips, classes)``."""
        face, sound = values["face"], values["sound"]
        logits = [
            net(face[:, i].permute(0, 3, 1, 2).float() / 255, sound[:, i, None])
            for i, net in enumerate(self.nets)
        ]
        each = torch.stack(logits, 1).float().log_softmax(-1)
        return torch.logsumexp(each, 1) - math.log(len(self.nets))


class AudioVisual(nn.Module):
    """One segment's network: two stacks of convolutions, one linear layer over both."""

    def __init__(self, classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.face, self.sound = stack(COLOURS, widths), stack(1, widths)
        self.classify = nn.Linear(2 * widths[-1], classes)

    def forward(self, face: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
        """``(clips, 3, 224, 224)`` and ``(clips, 1, 192, 120)``; logits ``(clips, classes)``."""
        out: torch.Tensor = self.classify(torch.cat([self.face(face), self.sound(sound)], 1))
        return out


def stack(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Blocks of 3 x 3 convolution, batch norm, ReLU and pooling by 2, the last one over all."""
    # the first layer brings the input to mean 0 and deviation 1, by the batches that it sees
    layers: list[nn.Module] = [nn.BatchNorm2d(channels, affine=False)]
    for i, width in enumerate(widths):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2) if i < len(widths) - 1 else nn.AdaptiveAvgPool2d(1),
        ]
        channels = width
    return nn.Sequential(*layers, nn.Flatten())
