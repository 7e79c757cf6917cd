"""The loss of three tasks at once, each over what is labelled (Kuhnke et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainers.losses import concordance


def multi_task_loss(
    output: Tensor,
    shares: Tensor,
    va: Tensor,
    units: Tensor,
    *,
    ccc_divide: bool = False,
) -> Tensor:
    """Cross-entropy + 1 - mean concordance + binary cross-entropy, where labels aren't NaN.

    The entropies are sums divided by the number of their labels: frames for expressions, decisions
    for action units (ours). Of valence and arousal, one that fewer than two frames have adds
    nothing: one value has no concordance.

    Args:
        output: ``(n, expressions + 2 + units)``, raw.
        shares: ``(n, expressions)``; va: ``(n, 2)``; units: ``(n, units)``.
        ccc_divide: the third part is divided by the number of its frames too (the paper's letter).
    """
    classes = shares.shape[1]
    loss = output.sum() * 0.0
    known = torch.isfinite(shares).all(1)
    logs = functional.log_softmax(output[:, :classes], 1)
    entropy = -(torch.where(known[:, None], shares, 0.0) * logs).sum()
    loss = loss + entropy / known.sum().clamp(min=1)
    for column in range(2):
        there = torch.isfinite(va[:, column])
        if int(there.sum()) >= 2:
            apart = (1 - concordance(output[there, classes + column], va[there, column])) / 2
            loss = loss + (apart / there.sum() if ccc_divide else apart)
    seen = torch.isfinite(units)
    binary = functional.binary_cross_entropy_with_logits(
        output[:, classes + 2 :], torch.where(seen, units, 0.0), reduction="none"
    )
    return loss + (binary * seen).sum() / seen.sum().clamp(min=1)
