"""ResNet-18: He, Zhang, Ren and Sun, CVPR 2016, table 1.

Names are torchvision's, so that its public file of ImageNet weights fits.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: channels of the four stages of two blocks each
STAGES = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w) -> (n, out, h', w')``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet18(nn.Module):
    """Images ``(n, channels, h, w)`` -> logits ``(n, classes)``; ``features`` gives ``(n, 512)``.

    Without ``classes`` there is no last layer, and ``forward`` gives the features, as many as the
    last of ``stages``.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int | None = 1000,
        stages: tuple[int, int, int, int] = STAGES,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, stages[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stages[0])
        before = stages[0]
        for i, out in enumerate(stages, 1):
            first = BasicBlock(before, out, 1 if i == 1 else 2)
            self.add_module(f"layer{i}", nn.Sequential(first, BasicBlock(out, out, 1)))
            before = out
        self.fc = nn.Identity() if classes is None else nn.Linear(before, classes)

    def features(self, x: Tensor) -> Tensor:
        """Global average of the last map, ``(n, 512)``."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, 2, 1)
        for i in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{i}")(x)
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, or the features where there are none."""
        logits: Tensor = self.fc(self.features(x))
        return logits
