"""One LSTM over short-term features of sound (Guo et al. 2018, model d)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from trainers.models.lstm_head import LSTM_INIT, LstmHead, widths
from trainers.models.scaling import ZScore

#: units of the LSTM (paper)
LSTM = 512


class ShorttermLstm(nn.Module):
    """``x`` ``(n, rows, 34)``, of which ``steps`` ``(n,)`` rows count -> logits."""

    def __init__(
        self, scaling: ZScore, classes: int, scale: float = 1.0, init: float = LSTM_INIT
    ) -> None:
        super().__init__()
        self.scaling = scaling
        self.head = LstmHead(len(scaling.mean), widths(LSTM, scale), classes, init)

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """Logits of each sequence."""
        steps = values["steps"]
        rows = values["x"][:, : int(steps.max())]
        logits: Tensor = self.head(self.scaling(rows), steps)
        return logits
