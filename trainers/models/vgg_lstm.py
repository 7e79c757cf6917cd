"""VGG-Face on single faces, and before an LSTM (Guo et al. 2018, models a and b)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.nets.scaling import bilinear
from features.nets.vggface16 import HIDDEN, MEAN_RGB, SIZE, STAGES, VggFace16
from trainers.models.lstm_head import LSTM_INIT, LstmHead, classes_layer, in_pieces, widths

#: units of the LSTM (paper)
LSTM = 128
#: roughly the deviation of pixels; the first layer of a network from scratch divides by it (ours)
PIXELS = 64.0


class FaceClassifier(nn.Module):
    """VGG-Face with a layer of emotions as its last: stages 1 and 2.

    Input ``x``: faces ``(n, 1, height, width, 3)`` RGB, 0 to 255; output: logits.

    Args:
        scale: of all widths; 1 is the paper's.
        size: pixels to which faces are brought, bilinearly.
        dropout: after fc6 and fc7, as VGG-Face itself was trained.
    """

    mean: Tensor

    def __init__(
        self, classes: int, scale: float = 1.0, size: int = SIZE, dropout: float = 0.5
    ) -> None:
        super().__init__()
        stages = tuple((widths(c, scale), n) for c, n in STAGES)
        self.net = VggFace16(stages, size, widths(HIDDEN, scale), classes)
        _start(self.net)
        self.net.fc8 = classes_layer(self.net.fc7.out_features, classes)
        self.size = size
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mean", torch.tensor(MEAN_RGB), persistent=False)

    def fc6(self, faces: Tensor) -> Tensor:
        """``(n, height, width, 3)`` -> ``(n, 4096)``, after the ReLU."""
        pixels = (faces.float() - self.mean).permute(0, 3, 1, 2)
        return functional.relu(self.net.features(bilinear(pixels, self.size)))

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Logits of each face, ``(n, classes)``."""
        hidden = self.dropout(in_pieces(self.fc6, values["x"][:, 0]))
        hidden = self.dropout(functional.relu(self.net.fc7(hidden)))
        logits: Tensor = self.net.fc8(hidden)
        return logits


def _start(net: VggFace16) -> None:
    """Numbers to learn from scratch with (ours): He's, so that signals survive 13 layers."""
    for name, layer in net.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if name == "conv1_1":
                with torch.no_grad():
                    layer.weight.div_(PIXELS)


class VggLstm(nn.Module):
    """All up to fc6 of a ``FaceClassifier``, then an LSTM of 128 and the classes: stage 3.

    Input ``x``: faces ``(n, steps, height, width, 3)``; output: logits ``(n, classes)``.
    """

    def __init__(self, faces: FaceClassifier, classes: int, init: float = LSTM_INIT) -> None:
        super().__init__()
        hidden = faces.net.fc6.out_features
        scale = hidden / HIDDEN
        # fc7 and fc8 are replaced
        faces.net.fc7 = faces.net.fc8 = nn.Identity()  # type: ignore[assignment]
        self.faces = faces
        self.head = LstmHead(hidden, widths(LSTM, scale), classes, init)

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Logits of each sequence."""
        faces = values["x"]
        steps = in_pieces(self.faces.fc6, faces.flatten(0, 1))
        logits: Tensor = self.head(steps.reshape(*faces.shape[:2], -1))
        return logits
