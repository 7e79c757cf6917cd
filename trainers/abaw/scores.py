"""From a network's outputs to what the challenges take, and the challenges' criteria."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainers.abaw.labels import VALENCE_AROUSAL, TaskLabels
from trainers.metrics import (
    Scored,
    accuracy,
    action_unit_criterion,
    binary_f1,
    ccc,
    confusion_matrix,
    expression_criterion,
    macro_f1,
    valence_arousal_criterion,
)

Threshold = Literal["sigmoid", "released"]


@dataclass(frozen=True, eq=False)
class Decisions:
    """What is predicted of rows.

    Attributes:
        va: float32 ``(rows, 2)``, -1..1. expression: int64 ``(rows,)``. units: int64
            ``(rows, units)``, 0 or 1.
    """

    va: NDArray[np.float32]
    expression: NDArray[np.int64]
    units: NDArray[np.int64]


def decided(
    output: NDArray[np.float32], expressions: int, threshold: Threshold = "sigmoid"
) -> Decisions:
    """Outputs ``(rows, expressions + 2 + units)`` as predictions.

    Args:
        threshold: a unit is seen where its sigmoid is above .5 (ours), or, ``released``, where
            the raw output is.
    """
    least = 0.0 if threshold == "sigmoid" else 0.5
    return Decisions(
        np.clip(output[:, expressions : expressions + 2], -1.0, 1.0),
        output[:, :expressions].argmax(1).astype(np.int64),
        (output[:, expressions + 2 :] > least).astype(np.int64),
    )


def criteria(found: Decisions, labels: TaskLabels, expressions: int) -> dict[str, float]:
    """Concordances, ``va``, ``ex`` and ``au`` of what is labelled, and ``score``, their mean.

    What the split has no labels of isn't there, nor in the means. Rows count of which valence and
    arousal, or all units, are labelled, as the challenges have it; of what nobody labelled at all,
    the others are enough. A concordance, or an F1, that isn't defined counts as 0 in the mean.
    """
    made: dict[str, float] = {}
    parts = []
    there = np.isfinite(labels.va)
    columns = there.any(0)
    known = np.asarray(there[:, columns].all(1))
    if columns.any() and known.any():
        pair = Scored(found.va[known][:, columns], labels.va[known][:, columns])
        for i in np.flatnonzero(columns).tolist():
            made[f"ccc_{VALENCE_AROUSAL[i]}"] = ccc(found.va[known, i], labels.va[known, i])
        made["va"] = valence_arousal_criterion(pair)
        parts.append(made["va"])
    known = np.asarray(labels.expression >= 0)
    if known.any():
        pair = Scored(found.expression[known], labels.expression[known])
        matrix = confusion_matrix(pair.prediction, pair.label, expressions)
        made["ex_f1"], made["ex_accuracy"] = macro_f1(matrix), accuracy(matrix)
        made["ex"] = expression_criterion(pair, expressions)
        parts.append(made["ex"])
    seen = np.isfinite(labels.units)
    units = seen.any(0)
    known = np.asarray(seen[:, units].all(1))
    if units.any() and known.any():
        said = found.units[known][:, units]
        true = labels.units[known][:, units].astype(np.int64)
        each = [binary_f1(said[:, i], true[:, i]) for i in range(true.shape[1])]
        made["au_f1"] = _mean(each)
        made["au_accuracy"] = float((said == true).mean())
        made["au"] = action_unit_criterion(Scored(said, true))
        parts.append(made["au"])
    made["score"] = _mean(parts) if parts else float("nan")
    return made


def _mean(values: list[float]) -> float:
    return float(np.mean(np.nan_to_num(np.array(values, np.float64), nan=0.0)))
