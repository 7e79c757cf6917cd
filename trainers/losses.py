"""Losses that torch doesn't have."""

from __future__ import annotations

import torch
from torch import Tensor

#: keeps the concordance of two equal constants defined (ours)
EPSILON = 1e-8


def concordance(output: Tensor, wanted: Tensor) -> Tensor:
    """CCC of each column by population moments: ``(n, …)`` twice -> ``(…)``.

    ``2 s_xy / (s_x² + s_y² + (x̄ - ȳ)² + ε)``; differentiable everywhere, 0 for a single row.
    """
    x, y = output.mean(0), wanted.mean(0)
    together = ((output - x) * (wanted - y)).mean(0)
    spread = (output - x).square().mean(0) + (wanted - y).square().mean(0)
    return 2 * together / (spread + (x - y).square() + EPSILON)


def concordance_loss(output: Tensor, wanted: Tensor) -> Tensor:
    """Minus the sum of the columns' CCC (Peng et al. 2018): of ``(n, columns)``, a scalar."""
    return -torch.sum(concordance(output, wanted))
