"""A support vector machine chosen by a cross-validated grid, kept as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from trainers.metrics import accuracy, confusion_matrix
from trainers.models.svm_folds import cut

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kernel = Literal["linear", "rbf"]


@dataclass(frozen=True)
class Point:
    """One point of the grid; gamma is of the RBF kernel, in units of 1 / columns."""

    kernel: Kernel
    c: float
    gamma: float = 1.0

    def __str__(self) -> str:
        shown = f"{self.kernel}, C = {self.c:g}"
        return shown if self.kernel == "linear" else f"{shown}, gamma = {self.gamma:g} / columns"


#: the grid (ours): the range in which standardised functionals go from under- to overfitting
GRID: Sequence[Point] = (
    *(Point("linear", c) for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
    *(Point("rbf", c, g) for c in (0.1, 1.0, 10.0, 100.0) for g in (0.1, 1.0, 10.0)),
)


@dataclass(frozen=True, eq=False)
class Machine:
    """One-vs-one support vectors over standardised columns.

    Attributes:
        support: float64 ``(vectors, columns)``; coefficients: ``(classes - 1, vectors)``;
            intercept: ``(pairs,)``; counts: vectors per class, int64 ``(classes,)``.
        platt: ``(classes, 2)``, slope and offset of each class's probability.
    """

    point: Point
    support: Floats
    coefficients: Floats
    intercept: Floats
    counts: Ints
    platt: Floats

    def decide(self, rows: Floats) -> Floats:
        """One-vs-rest values ``(rows, classes)``, as scikit-learn's ``decision_function``."""
        kernel = kernel_matrix(
            self.point, rows @ self.support.T, _norms(rows), _norms(self.support)
        )
        pairs = pair_values(kernel, self.coefficients, self.intercept, self.counts)
        return ovr_of_ovo(pairs, len(self.counts))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What ``Machine`` is made of, for a file."""
        names = ("support", "coefficients", "intercept", "counts", "platt")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Solved:
    """A machine in terms of the rows that it was fitted on, as libsvm lays it out.

    Attributes:
        support: positions of the rows that count, those of a class together, int64 ``(vectors,)``.
        coefficients, intercept, counts: as of ``Machine``.
    """

    support: Ints
    coefficients: Floats
    intercept: Floats
    counts: Ints

    def decide(self, kernel: Floats) -> Floats:
        """One-vs-rest values from the kernel with all rows of the fit, ``(rows, classes)``."""
        pairs = pair_values(kernel[:, self.support], self.coefficients, self.intercept, self.counts)
        return ovr_of_ovo(pairs, len(self.counts))


#: of a kernel ``(n, n)``, the rows' classes, their number, and several C: a machine for each C
Solver = Callable[[Floats, Ints, int, Sequence[float]], Sequence[Solved]]


def pair_values(kernel: Floats, coefficients: Floats, intercept: Floats, counts: Ints) -> Floats:
    """Values ``(rows, pairs)``, positive for the first class of each pair.

    Args:
        kernel: with the support vectors, ``(rows, vectors)``.
    """
    stops = np.cumsum(counts)
    parts = [slice(int(b - n), int(b)) for n, b in zip(counts, stops, strict=True)]
    values = []
    for i in range(len(parts)):
        for j in range(i + 1, len(parts)):
            first = kernel[:, parts[i]] @ coefficients[j - 1, parts[i]]
            values.append(first + kernel[:, parts[j]] @ coefficients[i, parts[j]])
    return np.asarray(np.stack(values, 1) + intercept, np.float64)


def ovr_of_ovo(pairs: Floats, classes: int) -> Floats:
    """Votes of the pairs, with summed confidences between -1/3 and 1/3 to break ties."""
    votes = np.zeros((len(pairs), classes))
    confidence = np.zeros_like(votes)
    k = 0
    for i in range(classes):
        for j in range(i + 1, classes):
            first = pairs[:, k] > 0
            votes[first, i] += 1
            votes[~first, j] += 1
            confidence[:, i] += pairs[:, k]
            confidence[:, j] -= pairs[:, k]
            k += 1
    return np.asarray(votes + confidence / (3 * (np.abs(confidence) + 1)), np.float64)


def kernel_matrix(point: Point, products: Floats, rows: Floats, columns: Floats) -> Floats:
    """The kernel from inner products ``(n, m)`` and what ``_norms`` gives for both sides."""
    if point.kernel == "linear":
        return products
    squared = rows[:, 0, None] + columns[None, :, 0] - 2 * products
    gamma = point.gamma / columns[0, 1]
    return np.asarray(np.exp(-gamma * np.maximum(squared, 0.0)), np.float64)


def fit_machine(
    rows: Floats,
    classes: Ints,
    count: int,
    *,
    groups: Ints | None = None,
    grid: Sequence[Point] = GRID,
    folds: int = 5,
    seed: int = 0,
    solver: Solver | None = None,
    told: Callable[[Point, float], None] = lambda point, share: None,
    noted: Callable[[str], None] = lambda note: None,
    names: Sequence[str] | None = None,
) -> tuple[Machine, Mapping[Point, float]]:
    """The point with the best cross-validated accuracy, fitted on all rows.

    Args:
        rows: standardised, ``(rows, columns)``.
        groups: per row, whom it is of; no one is in two folds, if that can be (see ``cut``).
            None: folds by class alone.
        solver: ``by_sklearn`` if None.
        noted: gets what must be known to judge accuracies and probabilities, in a line each.
        names: of the classes, for these lines.

    Returns:
        The machine, and each point's accuracy.

    Raises:
        NothingToTrain: a class has fewer than two rows.
    """
    solver = solver or by_sklearn
    cuts, notes = cut(classes, count, groups, folds, seed, names or [str(c) for c in range(count)])
    for note in notes:
        noted(note)
    products, norms = rows @ rows.T, _norms(rows)
    found: dict[Point, Floats] = {}
    shares: dict[Point, float] = {}
    for points in _with_one_kernel(grid):
        kernel = kernel_matrix(points[0], products, norms, norms)
        decided = {point: np.full((len(rows), count), np.nan) for point in points}
        for learn, held in cuts:
            solved = solver(
                kernel[np.ix_(learn, learn)], classes[learn], count, [p.c for p in points]
            )
            for point, machine in zip(points, solved, strict=True):
                decided[point][held] = machine.decide(kernel[np.ix_(held, learn)])
        for point, values in decided.items():
            seen = np.isfinite(values[:, 0])
            matrix = confusion_matrix(values[seen].argmax(1), classes[seen], count)
            shares[point], found[point] = accuracy(matrix), values
            told(point, shares[point])
    # of equally good points the first one of the grid
    best = max(grid, key=lambda point: shares[point])
    kernel = kernel_matrix(best, products, norms, norms)
    machine = solver(kernel, classes, count, [best.c])[0]
    chosen = Machine(
        best,
        rows[machine.support],
        machine.coefficients,
        machine.intercept,
        machine.counts,
        _platt(found[best], classes, count),
    )
    return chosen, {point: shares[point] for point in grid}


def by_sklearn(kernel: Floats, classes: Ints, count: int, cs: Sequence[float]) -> Sequence[Solved]:
    """Scikit-learn's SVC, one after the other."""
    found = []
    for c in cs:
        machine = SVC(C=c, kernel="precomputed").fit(kernel, classes)
        # of two classes scikit-learn turns the sign of what libsvm gave round
        sign = -1.0 if count == 2 else 1.0
        found.append(
            Solved(
                np.asarray(machine.support_, np.int64),
                np.asarray(sign * machine.dual_coef_, np.float64),
                np.asarray(sign * machine.intercept_, np.float64).reshape(-1),
                np.asarray(machine.n_support_, np.int64),
            )
        )
    return found


def _with_one_kernel(grid: Sequence[Point]) -> list[list[Point]]:
    """The grid's points, those that differ in C alone together."""
    groups: dict[tuple[str, float], list[Point]] = {}
    for point in grid:
        gamma = point.gamma if point.kernel == "rbf" else 0.0
        groups.setdefault((point.kernel, gamma), []).append(point)
    return list(groups.values())


def calibrated(values: Floats, platt: Floats) -> Floats:
    """Probabilities from one-vs-rest values by a logistic curve per class."""
    raw = 1.0 / (1.0 + np.exp(-(values * platt[:, 0] + platt[:, 1])))
    raw = np.maximum(raw, 1e-12)
    return np.asarray(raw / raw.sum(1, keepdims=True), np.float64)


def _platt(values: Floats, classes: Ints, count: int) -> Floats:
    """A logistic curve per class over held-out decision values (Platt 1999).

    A class of which no row was held out, or no row of another, has one curve over the values of
    all classes of which both were (ours); where there are none, of all classes.
    """
    seen = np.isfinite(values[:, 0])
    values, right = values[seen], classes[seen, None] == np.arange(count)
    both = right.any(0) & ~right.all(0)
    others = both if both.any() else ~both
    found = []
    for c in range(count):
        columns = [c] if both[c] else others
        curve = LogisticRegression(C=1e3).fit(
            values[:, columns].reshape(-1, 1), right[:, columns].ravel()
        )
        found.append((float(curve.coef_[0, 0]), float(curve.intercept_[0])))
    return np.array(found)


def _norms(rows: Floats) -> Floats:
    """Squared norms, and the number of columns beside them: ``(rows, 2)``."""
    squared = np.einsum("ij,ij->i", rows, rows)
    return np.stack([squared, np.full(len(rows), float(rows.shape[1]))], 1)
