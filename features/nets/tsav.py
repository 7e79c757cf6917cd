"""kuhnke2020's released network: an aural and a visual stream, 17 outputs.

Kuhnke, Rumberg and Ostermann, "Two-Stream Aural-Visual Affect Analysis in the Wild", FG 2020.
Names are those of the released checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from features.nets.r2plus1d18 import R2Plus1D18
from features.nets.resnet18 import ResNet18

#: 7 expressions, valence and arousal, 8 action units
OUTPUTS = 17


class Aural(nn.Module):
    """Mel maps ``(n, 1, 1001, 64)`` -> ``(n, 512)``."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18(channels=1, classes=None)

    def forward(self, maps: Tensor) -> Tensor:
        """The stream's features."""
        features: Tensor = self.resnet(maps)
        return features


class Visual(nn.Module):
    """Clips of faces and masks ``(n, 4, 8, 112, 112)`` -> ``(n, 512)``."""

    def __init__(self) -> None:
        super().__init__()
        self.r2plus1d = R2Plus1D18(channels=4, classes=None)

    def forward(self, clips: Tensor) -> Tensor:
        """The stream's features."""
        features: Tensor = self.r2plus1d(clips)
        return features


class TwoStream(nn.Module):
    """Clips and mel maps -> ``(n, 17)``: expressions 0-6, valence, arousal, action units 9-16."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_model = Aural()
        self.video_model = Visual()
        self.fc = nn.Sequential(nn.Dropout(0.0), nn.Linear(512 + 512, OUTPUTS))

    def forward(self, clips: Tensor, maps: Tensor) -> Tensor:
        """Raw outputs."""
        both = torch.cat([self.audio_model(maps), self.video_model(clips)], dim=1)
        outputs: Tensor = self.fc(both)
        return outputs
