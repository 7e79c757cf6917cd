"""One LSTM over short-term features of sound (Guo et al. 2018, model d)."""

from __future__ import annotations

from torch import Tensor, nn

from trainers.models.lstm_head import LSTM_INIT, LstmHead, widths
from trainers.models.scaling import ZScore

#: units of the LSTM (paper)
LSTM = 512


class ShorttermLstm(nn.Module):
    """Rows ``(n, steps, 34)`` and a mask ``(n, steps)`` -> logits ``(n, classes)``."""

    def __init__(
        self, scaling: ZScore, classes: int, scale: float = 1.0, init: float = LSTM_INIT
    ) -> None:
        super().__init__()
        self.scaling = scaling
        self.head = LstmHead(len(scaling.mean), widths(LSTM, scale), classes, init)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Logits of each sequence."""
        logits: Tensor = self.head(self.scaling(rows), mask)
        return logits
