"""VGG-16 without batch normalisation: Simonyan and Zisserman, ICLR 2015, configuration D.

Names are torchvision's, so that its public file of ImageNet weights fits.
"""

from __future__ import annotations

from torch import Tensor, nn

#: channels of the convolutions; a number of 0 stands for 2 x 2 max pooling
LAYOUT = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


class Vgg16(nn.Module):
    """Images ``(n, 3, 224, 224)`` -> logits ``(n, classes)``; ``features`` is the part of maps."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for out in LAYOUT:
            if out:
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True)]
                channels = out
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits
