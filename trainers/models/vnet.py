"""VNet of Peng et al. 2018: a BiLSTM over an utterance's faces."""

from __future__ import annotations

from typing import Literal, cast

from torch import Tensor, nn

from features.nets.sphere20a import FEATURES, STAGES, Sphere20a

#: shape of a crop that SphereFace sees
CROP = (112, 96, 3)
#: (pixel - mean) / scale, as SphereFace was trained (the authors' code)
PIXEL_MEAN, PIXEL_SCALE = 127.5, 128.0
#: where there are no weights to start from: slope that the other layers' numbers are chosen for
#: (torch's PReLU begins there), and standard deviation of those of residual pairs, so that they
#: add little (ours)
PRELU_SLOPE, RESIDUAL_STD = 0.25, 0.01

Channels = Literal["bgr", "rgb"]


class VNet(nn.Module):
    """Faces of an utterance -> one row of numbers.

    Args:
        backbone: gives ``(n, inputs)`` of crops; None where the faces are features already.
        inputs: numbers per face.
        hidden: width of each direction of the LSTM.
    """

    def __init__(self, inputs: int, hidden: int, backbone: FaceBackbone | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = hidden
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)
        for name, tensor in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.orthogonal_(tensor)
            else:
                nn.init.zeros_(tensor)

    def forward(self, faces: Tensor) -> Tensor:
        """``(clips, steps, inputs)``, or crops, -> ``(clips, hidden)``.

        The two directions are summed, the steps averaged.
        """
        if self.backbone is not None:
            faces = self.backbone(faces.flatten(0, 1)).view(*faces.shape[:2], -1)
        forward, backward = cast(Tensor, self.lstm(faces)[0]).chunk(2, -1)
        return (forward + backward).mean(1)


class FaceBackbone(nn.Module):
    """SphereFace-20a on crops ``(n, 112, 96, 3)``, uint8 RGB -> ``(n, features)``.

    Args:
        channels: order of the colours that the network sees.
        scale: widths times this.
    """

    def __init__(self, channels: Channels = "bgr", scale: float = 1.0) -> None:
        super().__init__()
        self.channels = channels
        stages = tuple((max(4, round(out * scale)), pairs) for out, pairs in STAGES)
        self.features = max(4, round(FEATURES * scale))
        self.net = Sphere20a(stages, features=self.features)
        for name, layer in self.net.named_modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            # with torch's own numbers a face's signal is lost on its way through twenty layers
            if name == "fc5" or name.endswith("_1"):
                nn.init.kaiming_normal_(layer.weight, PRELU_SLOPE)
            else:
                nn.init.normal_(layer.weight, std=RESIDUAL_STD)
            nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, crops: Tensor) -> Tensor:
        """Layer fc5 of each crop."""
        planes = (crops.flip(-1) if self.channels == "bgr" else crops).permute(0, 3, 1, 2)
        found: Tensor = self.net((planes.float() - PIXEL_MEAN) / PIXEL_SCALE)
        return found
