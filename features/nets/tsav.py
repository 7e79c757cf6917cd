"""kuhnke2020's released network: an aural and a visual stream, 17 outputs.

Kuhnke, Rumberg and Ostermann, "Two-Stream Aural-Visual Affect Analysis in the Wild", FG 2020.
Names are those of the released checkpoint.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from features.nets.r2plus1d18 import STAGES, R2Plus1D18
from features.nets.resnet18 import ResNet18

#: 7 expressions, valence and arousal, 8 action units
OUTPUTS = 17
#: red, green, blue and the mask
CHANNELS = 4
#: in the order in which their features are joined
STREAMS = ("aural", "visual")

Stages = tuple[int, int, int, int]


class Aural(nn.Module):
    """Mel maps ``(n, 1, 1001, 64)`` -> ``(n, 512)``."""

    def __init__(self, stages: Stages = STAGES) -> None:
        super().__init__()
        self.resnet = ResNet18(channels=1, classes=None, stages=stages)

    def forward(self, maps: Tensor) -> Tensor:
        """The stream's features."""
        features: Tensor = self.resnet(maps)
        return features


class Visual(nn.Module):
    """Clips of faces and masks ``(n, 4, 8, 112, 112)`` -> ``(n, 512)``."""

    def __init__(self, channels: int = CHANNELS, stages: Stages = STAGES) -> None:
        super().__init__()
        self.r2plus1d = R2Plus1D18(channels=channels, classes=None, stages=stages)

    def forward(self, clips: Tensor) -> Tensor:
        """The stream's features."""
        features: Tensor = self.r2plus1d(clips)
        return features


class TwoStream(nn.Module):
    """Clips and mel maps -> ``(n, 17)``: expressions 0-6, valence, arousal, action units 9-16.

    Args:
        channels: of the clips; 3 without a mask.
        outputs: numbers that are put out.
        streams: which are there; ``forward`` leaves the other's input alone.
        scale: widths times this; 1 is the published network.
    """

    def __init__(
        self,
        channels: int = CHANNELS,
        outputs: int = OUTPUTS,
        streams: Collection[str] = STREAMS,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        a, b, c, d = (max(2, round(width * scale)) for width in STAGES)
        stages = (a, b, c, d)
        self.audio_model = Aural(stages) if "aural" in streams else None
        self.video_model = Visual(channels, stages) if "visual" in streams else None
        joined = d * sum(stream in streams for stream in STREAMS)
        self.fc = nn.Sequential(nn.Dropout(0.0), nn.Linear(joined, outputs))

    def forward(self, clips: Tensor | None, maps: Tensor | None) -> Tensor:
        """Raw outputs."""
        features = []
        if self.audio_model is not None:
            features.append(self.audio_model(maps))
        if self.video_model is not None:
            features.append(self.video_model(clips))
        outputs: Tensor = self.fc(torch.cat(features, dim=1))
        return outputs
