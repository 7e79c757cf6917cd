"""Which frames' labels contradict themselves (Kuhnke et al. 2020, section on data filtering)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trainers.abaw.labels import TaskLabels

#: positions in Aff-Wild2's list of expressions
NEUTRAL, HAPPY, SAD = 0, 4, 5
#: length of (valence, arousal) up to which a face may be called neutral (paper)
NEUTRAL_LENGTH = 0.5

Bools = NDArray[np.bool_]


def contradictions(labels: TaskLabels, expressions: int) -> dict[str, Bools]:
    """Rule -> ``(rows,)`` bool, the rows that break it.

    ``range``: a label that can't be. ``happy``, ``sad``, ``neutral``: an expression that its
    valence (and arousal) deny, where both are labelled. A row without labels breaks none.
    """
    valence, arousal = labels.va[:, 0], labels.va[:, 1]
    with np.errstate(invalid="ignore"):
        outside = labels.impossible | (np.abs(labels.va) > 1).any(1)
        outside = outside | (labels.expression >= expressions)
        outside = outside | (np.isfinite(labels.units) & ~np.isin(labels.units, (0, 1))).any(1)
        return {
            "range": outside,
            "happy": (labels.expression == HAPPY) & (valence < 0),
            "sad": (labels.expression == SAD) & (valence > 0),
            "neutral": (labels.expression == NEUTRAL)
            & (np.hypot(valence, arousal) > NEUTRAL_LENGTH),
        }


def broken(found: Mapping[str, Bools]) -> Bools:
    """``(rows,)``, rows that break any rule."""
    return np.asarray(np.stack(list(found.values())).any(0))


def possible(labels: TaskLabels, expressions: int) -> TaskLabels:
    """The same rows with labels that can't be unknown; for training without the filter."""
    with np.errstate(invalid="ignore"):
        outside = (np.abs(labels.va) > 1).any(1, keepdims=True)
    va = np.where(outside, np.nan, labels.va)
    units = np.where(np.isin(labels.units, (0, 1)), labels.units, np.nan)
    expression = np.where(labels.expression < expressions, labels.expression, -1)
    return TaskLabels(
        va.astype(np.float32), expression, units.astype(np.float32), labels.impossible
    )
