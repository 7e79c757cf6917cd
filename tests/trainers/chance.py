"""How likely it is that a model which learned nothing scores as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from trainers.metrics import ccc

#: p of what is called better than chance
BETTER = 0.01


def binomial_p(correct: int, clips: int, classes: int) -> float:
    """One-sided, of at least so many hits where each class is as likely."""
    return float(binomtest(correct, clips, 1 / classes, alternative="greater").pvalue)


def permutation_p(
    predicted: Sequence[NDArray[np.float64]],
    labels: Sequence[NDArray[np.float64]],
    *,
    draws: int = 2000,
) -> float:
    """One-sided, of pooled CCC where each clip's predictions are given to another clip at random.

    Args:
        predicted, labels: ``(rows,)`` per clip; of clips of unequal length the first rows count.
    """
    rng = np.random.default_rng(0)

    def score(order: Sequence[int]) -> float:
        sizes = [min(len(predicted[i]), len(y)) for i, y in zip(order, labels, strict=True)]
        x = np.concatenate([predicted[i][:n] for i, n in zip(order, sizes, strict=True)])
        return ccc(x, np.concatenate([y[:n] for y, n in zip(labels, sizes, strict=True)]))

    observed = score(range(len(labels)))
    drawn = [score(rng.permutation(len(labels)).tolist()) for _ in range(draws)]
    return float((1 + sum(found >= observed for found in drawn)) / (1 + draws))


def hits(predicted: Mapping[str, str], wanted: Mapping[str, str]) -> int:
    """Clips whose class is the wanted one."""
    return sum(predicted[clip] == name for clip, name in wanted.items())
