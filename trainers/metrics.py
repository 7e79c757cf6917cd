"""The metrics of affect recognition: concordance, recall, F1, and the three ABAW criteria.

Definitions hold over all valid rows of a split, concatenated (``pooled``); ``per_video`` gives
the same metric for each video alone. Everything is computed in float64 with population moments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: share of macro F1 and of accuracy in the expression criterion (ABAW 2020; Kuhnke et al. 2020)
EXPRESSION_F1, EXPRESSION_ACCURACY = 0.67, 0.33
#: share of mean binary F1 and of accuracy in the action-unit criterion (as above)
ACTION_UNIT_F1, ACTION_UNIT_ACCURACY = 0.5, 0.5

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class MetricError(ValueError):
    """Predictions and labels don't fit together; nothing is scored."""

    code = "metric"


@dataclass(frozen=True, eq=False)
class Scored:
    """What is compared: one video, or many concatenated.

    Attributes:
        prediction, label: ``(rows,)`` or ``(rows, columns)``, equal shapes.
        valid: bool ``(rows,)``; None takes all rows.
    """

    prediction: ArrayLike
    label: ArrayLike
    valid: ArrayLike | None = None

    def rows(self) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Prediction and label of the valid rows.

        Raises:
            MetricError: shapes differ, or a valid row holds NaN or an infinity.
        """
        prediction, label = np.asarray(self.prediction), np.asarray(self.label)
        if prediction.shape != label.shape or prediction.ndim not in (1, 2):
            raise MetricError(
                f"prediction has shape {prediction.shape}, label {label.shape}; both must be "
                "(rows,) or (rows, columns)"
            )
        if self.valid is not None:
            valid = np.asarray(self.valid)
            if valid.dtype != bool or valid.shape != label.shape[:1]:
                raise MetricError(
                    f"valid is {valid.dtype} of shape {valid.shape}; it must be one bool per row, "
                    f"{label.shape[:1]}"
                )
            prediction, label = prediction[valid], label[valid]
        need_finite(prediction, "prediction")
        need_finite(label, "label")
        return prediction, label


def need_finite(values: NDArray[np.generic], name: str) -> None:
    """All values are numbers; of NaN the greatest class would be the first one.

    Raises:
        MetricError: some aren't.
    """
    bad = ~np.isfinite(values.astype(np.float64))
    if bad.any():
        raise MetricError(
            f"{np.count_nonzero(bad)} of {bad.size} valid {name} values are NaN or infinite; mark "
            "those rows invalid or repair them"
        )


Metric = Callable[[Scored], float]


def pooled(metric: Metric, videos: Mapping[str, Scored]) -> float:
    """The metric over the valid rows of all videos, concatenated."""
    parts = [scored.rows() for _, scored in sorted(videos.items())]
    if not parts:
        raise MetricError("there are no videos to score; give at least one")
    predictions, labels = zip(*parts, strict=True)
    return metric(Scored(np.concatenate(predictions), np.concatenate(labels)))


def per_video(metric: Metric, videos: Mapping[str, Scored]) -> dict[str, float]:
    """The metric of each video alone; NaN where it isn't defined."""
    return {name: metric(scored) for name, scored in sorted(videos.items())}


# --- values ----------------------------------------------------------------------------------


class Concordance:
    """Concordance (CCC) of rows that come in pieces, as if they were one array.

    CCC = 2 s_xy / (s_x² + s_y² + (mean x - mean y)²), population moments (Lin 1989). Moments are
    merged about the running mean, so that a large common offset costs no precision. Pieces in
    another order give the same value up to rounding.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._mean = np.zeros(2)
        self._moments = np.zeros((2, 2))

    def update(
        self, prediction: ArrayLike, label: ArrayLike, valid: ArrayLike | None = None
    ) -> None:
        """Add rows: ``(rows,)`` each, and a bool per row."""
        x, y = Scored(prediction, label, valid).rows()
        if x.ndim != 1:
            raise MetricError(f"CCC takes one column at a time; prediction has shape {x.shape}")
        both = np.stack([x, y]).astype(np.float64)
        if both.shape[1]:
            mean = both.mean(1)
            centred = both - mean[:, None]
            self._merge(both.shape[1], mean, centred @ centred.T)

    def merge(self, other: Concordance) -> None:
        """Add the rows that another accumulator has seen."""
        self._merge(other.rows, other._mean, other._moments)

    def _merge(self, rows: int, mean: Floats, moments: Floats) -> None:
        if not rows:
            return
        total = self.rows + rows
        apart = mean - self._mean
        weight = self.rows * rows / total
        self._moments = self._moments + moments + weight * np.outer(apart, apart)
        self._mean = self._mean + apart * (rows / total)
        self.rows = total

    @property
    def value(self) -> float:
        """CCC, -1..1; NaN without rows, or if both sides are one and the same constant."""
        if not self.rows:
            return float("nan")
        (xx, xy), (_, yy) = self._moments / self.rows
        below = xx + yy + (self._mean[0] - self._mean[1]) ** 2
        # of equal constants, rounding of the mean leaves something below this
        noise = (8 * np.finfo(np.float64).eps * np.abs(self._mean).max()) ** 2
        return float(2 * xy / below) if below > noise else float("nan")


def ccc(prediction: ArrayLike, label: ArrayLike, valid: ArrayLike | None = None) -> float:
    """Concordance correlation coefficient of ``(rows,)`` values; see ``Concordance``."""
    accumulator = Concordance()
    accumulator.update(prediction, label, valid)
    return accumulator.value


def ccc_of(scored: Scored) -> float:
    """``ccc`` as a metric for ``pooled`` and ``per_video``."""
    return ccc(scored.prediction, scored.label, scored.valid)


# --- classes ---------------------------------------------------------------------------------


def confusion_matrix(
    prediction: ArrayLike, label: ArrayLike, classes: int, valid: ArrayLike | None = None
) -> Counts:
    """Counts ``(classes, classes)``: row = label, column = prediction.

    Raises:
        MetricError: a valid row holds something else than 0 .. classes - 1.
    """
    x, y = Scored(prediction, label, valid).rows()
    for name, values in (("prediction", x), ("label", y)):
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iub"):
            raise MetricError(
                f"{name} is {values.dtype} of shape {values.shape}; it must hold one class index "
                "per row"
            )
        if values.size and (int(values.min()) < 0 or int(values.max()) >= classes):
            raise MetricError(
                f"{name} has classes {values.min()} .. {values.max()}, but there are {classes}; "
                "mark unlabelled rows invalid"
            )
    flat = y.astype(np.int64) * classes + x.astype(np.int64)
    return np.bincount(flat, minlength=classes * classes).astype(np.int64).reshape(classes, -1)


def accuracy(matrix: Counts) -> float:
    """Share of rows on the diagonal; NaN without rows."""
    return _ratio(float(np.trace(matrix)), float(matrix.sum()))


def recalls(matrix: Counts) -> Floats:
    """Recall of each class ``(classes,)``; NaN for classes that no label has."""
    rows = matrix.sum(1)
    return np.where(rows > 0, np.diag(matrix) / np.maximum(rows, 1), np.nan)


def uar(matrix: Counts) -> float:
    """Unweighted average recall, over the classes that labels have; NaN without rows."""
    return _mean(recalls(matrix))


def f1_scores(matrix: Counts) -> Floats:
    """F1 of each class ``(classes,)``; NaN for classes that neither labels nor predictions have."""
    either = matrix.sum(0) + matrix.sum(1)
    return np.where(either > 0, 2 * np.diag(matrix) / np.maximum(either, 1), np.nan)


def macro_f1(matrix: Counts) -> float:
    """Mean F1 over the classes that labels or predictions have; NaN without rows."""
    return _mean(f1_scores(matrix))


def binary_f1(prediction: ArrayLike, label: ArrayLike, valid: ArrayLike | None = None) -> float:
    """F1 of class 1 of two; 0 if neither side has a positive, NaN without rows."""
    matrix = confusion_matrix(prediction, label, 2, valid)
    if not matrix.sum():
        return float("nan")
    return float(np.nan_to_num(f1_scores(matrix)[1]))


# --- ABAW criteria -----------------------------------------------------------------------------


def valence_arousal_criterion(scored: Scored) -> float:
    """Mean CCC of the columns (valence, arousal): values ``(rows, 2)``, -1..1.

    One that isn't defined, of equal constants, counts as 0; NaN without rows.
    """
    x, y = _columns(scored)
    if not len(x):
        return float("nan")
    return float(np.mean(np.nan_to_num([ccc(x[:, i], y[:, i]) for i in range(x.shape[1])])))


def expression_criterion(scored: Scored, classes: int = 7) -> float:
    """.67 macro F1 + .33 accuracy of class indices ``(rows,)``, 0..1."""
    matrix = confusion_matrix(scored.prediction, scored.label, classes, scored.valid)
    return EXPRESSION_F1 * macro_f1(matrix) + EXPRESSION_ACCURACY * accuracy(matrix)


def action_unit_criterion(scored: Scored) -> float:
    """.5 mean binary F1 + .5 accuracy over all decisions, of 0 and 1 ``(rows, units)``, 0..1."""
    x, y = _columns(scored)
    f1 = float(np.mean([binary_f1(x[:, i], y[:, i]) for i in range(x.shape[1])]))
    share = accuracy(confusion_matrix(x.ravel(), y.ravel(), 2))
    return ACTION_UNIT_F1 * f1 + ACTION_UNIT_ACCURACY * share


def _columns(scored: Scored) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    x, y = scored.rows()
    if x.ndim != 2 or not x.shape[1]:
        raise MetricError(f"prediction has shape {x.shape}; it must be (rows, columns)")
    return x, y


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")
