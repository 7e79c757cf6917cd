"""Decision fusion: one weight per model, on the simplex, that raises accuracy (Guo et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: distance of two weights on the simplex (paper)
STEP = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fused:
    """The weights that were found.

    Attributes:
        weights: ``(models,)``, from 0 on, in steps; they add up to 1.
        accuracy: of the clips that they were chosen on.
        tried: points of the simplex.
    """

    weights: Floats
    accuracy: float
    tried: int


def simplex(models: int, step: float = STEP) -> Floats:
    """All weights ``(points, models)`` that are multiples of ``step`` and add up to 1.

    Raises:
        ValueError: 1 isn't a multiple of the step.
    """
    parts = round(1 / step)
    if parts < 1 or abs(parts * step - 1) > 1e-9:
        raise ValueError(f"step {step}: 1 must be a multiple of it, such as .05")
    return np.array(list(_shares(models, parts)), np.float64) / parts


def fuse(shares: Floats, classes: NDArray[np.int64], step: float = STEP) -> Fused:
    """The weights whose sum of probabilities is right most often.

    Of equally good ones those nearest to equal weights, then the first (ours).

    Args:
        shares: probabilities ``(models, clips, classes)``.
        classes: what is right, ``(clips,)``.

    Raises:
        ValueError: there are no clips.
    """
    if not len(classes):
        raise ValueError("there are no clips to choose weights on")
    points = simplex(len(shares), step)
    # a point's clips are decided at once: points x clips x classes may be large
    right = np.array([np.mean(weighted(shares, p).argmax(1) == classes) for p in points])
    best = np.flatnonzero(right >= right.max() - 1e-12)
    uneven = (points[best] ** 2).sum(1)
    chosen = best[int(np.argmin(np.round(uneven, 9)))]
    return Fused(points[chosen], float(right[chosen]), len(points))


def weighted(shares: Floats, weights: Floats) -> Floats:
    """Sum over the models of weight times probabilities, ``(clips, classes)``."""
    return np.asarray(np.einsum("m,mck->ck", weights, shares), np.float64)


def _shares(models: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to give ``parts`` equal parts to the models."""
    if models == 1:
        yield (parts,)
        return
    for first in range(parts, -1, -1):
        for rest in _shares(models - 1, parts - first):
            yield (first, *rest)
