"""Labels of one task from those of another, by how they go together in the training split.

Kuhnke et al. 2020, section on pseudo labels: an expression gives valence (and arousal), drawn anew
at each visit; valence and arousal give the shares of the expressions.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainers.abaw.labels import TaskLabels

#: bins of valence and of arousal, over -1..1 (ours: the paper gives no number)
BINS = 20

#: which labels are made: valence, arousal, expression
Pseudo = Literal["none", "V", "A", "E", "VA", "VE", "AE", "VAE"]


class Histogram:
    """How often each expression goes with each valence and arousal.

    Attributes:
        counts: int64 ``(expressions, 20, 20)``: expression, bin of valence, bin of arousal.
    """

    def __init__(self, labels: TaskLabels, expressions: int) -> None:
        both = (labels.expression >= 0) & np.isfinite(labels.va).all(1)
        place = bins_of(labels.va[both])
        self.counts = np.zeros((expressions, BINS, BINS), np.int64)
        np.add.at(self.counts, (labels.expression[both], place[:, 0], place[:, 1]), 1)

    def draw(self, expression: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """``(rows, 2)`` valence and arousal of rows with that expression, even within a bin.

        NaN for rows without an expression, or of one that never had a value.
        """
        made = np.full((len(expression), 2), np.nan, np.float32)
        flat = self.counts.reshape(len(self.counts), -1)
        for each in np.unique(expression[expression >= 0]).tolist():
            total = int(flat[each].sum())
            rows = np.flatnonzero(expression == each)
            if not total:
                continue
            cell = rng.choice(BINS * BINS, len(rows), p=flat[each] / total)
            corner = np.stack([cell // BINS, cell % BINS], 1)
            made[rows] = (corner + rng.random((len(rows), 2))) * (2 / BINS) - 1
        return made

    def shares(self, va: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(rows, expressions)`` that add up to 1; NaN without values, or where none ever was."""
        made = np.full((len(va), len(self.counts)), np.nan, np.float32)
        known = np.flatnonzero(np.isfinite(va).all(1))
        place = bins_of(va[known])
        found = self.counts[:, place[:, 0], place[:, 1]].T
        total = found.sum(1, keepdims=True)
        some = total[:, 0] > 0
        made[known[some]] = found[some] / total[some]
        return made


def bins_of(va: NDArray[np.float32]) -> NDArray[np.int64]:
    """``(rows, 2)`` bins of values -1..1; 1 is in the last one."""
    return np.clip(((va + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)


def completed(
    labels: TaskLabels, histogram: Histogram, which: Pseudo, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is learned: labels, and where they lack, what the histogram says.

    Returns:
        Valence and arousal ``(rows, 2)``, NaN where unknown; shares of the expressions
        ``(rows, expressions)``, one of them 1 where labelled, NaN where unknown.
    """
    classes = len(histogram.counts)
    shares = np.full((len(labels), classes), np.nan, np.float32)
    labelled = labels.expression >= 0
    shares[labelled] = np.eye(classes, dtype=np.float32)[labels.expression[labelled]]
    va = labels.va.copy()
    if which == "none":
        return va, shares
    drawn = histogram.draw(labels.expression, rng)
    for column, letter in enumerate("VA"):
        if letter in which:
            va[:, column] = np.where(np.isfinite(va[:, column]), va[:, column], drawn[:, column])
    if "E" in which:
        soft = histogram.shares(labels.va)
        shares = np.where(labelled[:, None], shares, soft)
    return va, shares
