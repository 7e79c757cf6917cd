"""The dual of two-class support vector machines, many at once, in torch: for a GPU.

The steps of libsvm, which scikit-learn wraps: two coefficients at a time, chosen by second-order
information (Fan, Chen and Lin, JMLR 2005), the last ones of equally good ones; coefficients that
stay at a bound are left aside for a while (shrinking); kernels are rounded to float32, everything
else is float64; the end comes at the same violation of optimality. That violation alone would
allow errors of more than 1e-3 in the values; taking the same steps, they agree far better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainers.errors import Diverged
from trainers.models.svm import Floats, Ints, Solved, Solver

#: violation of the optimality conditions at which a problem is solved (scikit-learn's default)
TOLERANCE = 1e-3
#: of two coefficients whose rows are equal (libsvm's)
TINY = 1e-12
#: steps after which coefficients are left aside, if a problem hasn't fewer rows (libsvm's)
PAUSE = 1000
#: steps between two looks at which problems are solved, and the most steps
LOOK, MOST = 100, 2_000_000


def by_torch(device: torch.device) -> Solver:
    """A solver for ``fit_machine``: all pairs of classes and all C side by side."""

    def solver(kernel: Floats, classes: Ints, count: int, cs: Sequence[float]) -> list[Solved]:
        order = np.argsort(classes, kind="stable")
        sizes = np.bincount(classes, minlength=count)
        parts = np.split(order, np.cumsum(sizes)[:-1])
        pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
        longest = max(len(parts[i]) + len(parts[j]) for i, j in pairs)
        rows = np.zeros((len(pairs), longest), np.int64)
        signs = np.zeros((len(pairs), longest))
        for p, (i, j) in enumerate(pairs):
            first, both = len(parts[i]), len(parts[i]) + len(parts[j])
            rows[p, :both] = np.concatenate([parts[i], parts[j]])
            signs[p, :first], signs[p, first:both] = 1.0, -1.0
        found, intercepts = solve(
            torch.from_numpy(kernel).to(device)[None],
            torch.zeros(len(cs) * len(pairs), dtype=torch.int64, device=device),
            torch.from_numpy(np.tile(rows, (len(cs), 1))).to(device),
            torch.from_numpy(np.tile(signs, (len(cs), 1))).to(device),
            torch.tensor(np.repeat(cs, len(pairs)), dtype=torch.float64, device=device),
        )
        shape = (len(cs), len(pairs))
        values = found.cpu().numpy().reshape(*shape, longest)
        levels = intercepts.cpu().numpy().reshape(shape)
        return [
            _laid_out(values[k], levels[k], pairs, rows, signs != 0, order, sizes)
            for k in range(len(cs))
        ]

    return solver


def _laid_out(
    values: Floats,
    levels: Floats,
    pairs: Sequence[tuple[int, int]],
    rows: Ints,
    there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    order: Ints,
    sizes: Ints,
) -> Solved:
    """Coefficients of pairs as libsvm keeps them: a column per row, the other classes below."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    table = np.zeros((len(sizes) - 1, len(order)))
    for p, (i, j) in enumerate(pairs):
        columns, own = place[rows[p][there[p]]], values[p][there[p]]
        first = int(sizes[i])
        table[j - 1, columns[:first]] = own[:first]
        table[i, columns[first:]] = own[first:]
    counted = np.flatnonzero((table != 0).any(0))
    kind = np.repeat(np.arange(len(sizes)), sizes)
    return Solved(
        order[counted],
        table[:, counted],
        levels,
        np.bincount(kind[counted], minlength=len(sizes)).astype(np.int64),
    )


def solve(
    kernels: Tensor,
    which: Tensor,
    rows: Tensor,
    signs: Tensor,
    c: Tensor,
    tolerance: float = TOLERANCE,
) -> tuple[Tensor, Tensor]:
    """Minimise ½ aᵀQa − Σa with 0 ≤ a ≤ C and signs · a = 0, Q_ij = s_i s_j K_ij.

    Args:
        kernels: ``(kernels, n, n)``.
        which: int64 ``(problems,)``, the kernel of each problem.
        rows: int64 ``(problems, m)``, the rows of the kernel that a problem is about.
        signs: float64 ``(problems, m)``: 1 or -1; 0 pads.
        c: float64 ``(problems,)``.

    Returns:
        Coefficients times signs ``(problems, m)``, and intercepts ``(problems,)``: a row's value
        is K @ coefficients + intercept.

    Raises:
        Diverged: a problem isn't solved after two million steps.
    """
    coefficients, intercepts = torch.zeros_like(signs), torch.zeros_like(c)
    left = torch.arange(len(c), device=c.device)
    diagonal = kernels[which[:, None], rows, rows].double()
    state = _State(kernels.float(), which, rows, signs, c, diagonal, tolerance)
    for step in range(MOST):
        state.step()
        if step % LOOK == 0 or bool(state.solved.all()):
            done = state.solved
            coefficients[left[done]] = state.alpha[done] * state.signs[done]
            intercepts[left[done]] = state.intercept()[done]
            left = left[~done]
            if not len(left):
                return coefficients, intercepts
            if bool(done.any()):
                state = state.only(~done)
    raise Diverged(
        f"{len(left)} support vector machines aren't solved after {MOST} steps; choose a smaller "
        "grid (model.kernel=linear), or train.solver=sklearn"
    )


class _State:
    """Problems on their way; tensors are ``(problems, m)`` or ``(problems,)``.

    Attributes:
        gradient: Qa − 1; the score of a coefficient is −sign · gradient.
        active: coefficients that aren't left aside.
        wait: steps until some may be left aside; whole: all were taken back before the end.
        solved: these problems change no more.
    """

    #: what ``only`` takes along
    KEPT = ("alpha", "gradient", "active", "wait", "whole", "solved")

    def __init__(
        self,
        kernels: Tensor,
        which: Tensor,
        rows: Tensor,
        signs: Tensor,
        c: Tensor,
        diagonal: Tensor,
        tolerance: float,
    ) -> None:
        self.kernels, self.which, self.rows = kernels, which, rows
        self.signs, self.c, self.diagonal = signs, c, diagonal
        self.tolerance = tolerance
        self.places = torch.arange(signs.shape[1], device=signs.device)
        self.there = signs != 0
        self.pause = self.there.sum(1).clamp(max=PAUSE)
        self.alpha = torch.zeros_like(signs)
        self.gradient = -torch.ones_like(signs)
        self.active = self.there.clone()
        self.wait = self.pause + 1
        self.whole = torch.zeros_like(self.wait, dtype=torch.bool)
        self.solved = torch.zeros_like(self.whole)

    def only(self, chosen: Tensor) -> _State:
        """Some of the problems, as far as they are."""
        which, rows, signs = self.which[chosen], self.rows[chosen], self.signs[chosen]
        c, diagonal = self.c[chosen], self.diagonal[chosen]
        made = _State(self.kernels, which, rows, signs, c, diagonal, self.tolerance)
        for name in self.KEPT:
            setattr(made, name, getattr(self, name)[chosen])
        return made

    def intercept(self) -> Tensor:
        """From the coefficients within their bounds, or halfway between the sides."""
        up, low, score = self._sides(self.there)
        free = up & low
        mean = score.masked_fill(~free, 0).sum(1) / free.sum(1).clamp(min=1)
        return torch.where(free.any(1), mean, (_highest(score, up) + _lowest(score, low)) / 2)

    def step(self) -> None:
        """Move two coefficients of each problem to where the objective is least."""
        self.wait -= 1
        if bool((self.wait == 0).any()):
            self._leave_aside(self.wait == 0)
        up, low, score = self._sides(self.active)
        near = _highest(score, up) - _lowest(score, low) < self.tolerance
        if bool((near & ~self.solved).any()):
            # is it solved as a whole?
            self.active |= near[:, None] & self.there
            up, low, score = self._sides(self.active)
            self.solved |= near & (_highest(score, up) - _lowest(score, low) < self.tolerance)
            self.wait[near] = 1
        self._move(up, low, score)

    def _move(self, up: Tensor, low: Tensor, score: Tensor) -> None:
        best, i = self._last_best(score.masked_fill(~up, -torch.inf))
        row_i = self._row(i)
        gain = best - score
        bend = (self.diagonal.gather(1, i) + self.diagonal - 2 * row_i).clamp(min=TINY)
        worth = (gain * gain / bend).masked_fill(~(low & (gain > 0)), -torch.inf)
        _, j = self._last_best(worth)
        sign_i, sign_j = self.signs.gather(1, i), self.signs.gather(1, j)
        before_i, before_j = self.alpha.gather(1, i), self.alpha.gather(1, j)
        # a step t >= 0 moves alpha_i by sign_i t and alpha_j by -sign_j t
        c = self.c[:, None]
        room_i = torch.where(sign_i > 0, c - before_i, before_i)
        room_j = torch.where(sign_j > 0, before_j, c - before_j)
        wanted = gain.gather(1, j) / bend.gather(1, j)
        t = torch.minimum(wanted, torch.minimum(room_i, room_j))
        t = torch.where(self.solved[:, None], 0.0, t)
        # at a bound exactly, so that no rounding leaves a coefficient just inside
        after_i = torch.where(t == room_i, torch.where(sign_i > 0, c, 0.0), before_i + sign_i * t)
        after_j = torch.where(t == room_j, torch.where(sign_j > 0, 0.0, c), before_j - sign_j * t)
        self.alpha.scatter_(1, i, after_i)
        self.alpha.scatter_(1, j, after_j)
        self.gradient += self.signs * (
            row_i * (sign_i * (after_i - before_i)) + self._row(j) * (sign_j * (after_j - before_j))
        )

    def _leave_aside(self, due: Tensor) -> None:
        """Coefficients at a bound that the best moves wouldn't touch, of the problems due."""
        up, low, score = self._sides(self.active)
        high, deep = _highest(score, up)[:, None], _lowest(score, low)[:, None]
        close = due & ~self.whole & ((high - deep)[:, 0] <= 10 * self.tolerance)
        self.whole |= close
        self.active |= close[:, None] & self.there
        up, low, score = self._sides(self.there)
        aside = (up & ~low & (score < deep)) | (low & ~up & (score > high))
        self.active &= ~(aside & due[:, None])
        self.wait = torch.where(due, self.pause, self.wait)

    def _row(self, place: Tensor) -> Tensor:
        """Kernel between one row of each problem and all of its rows, ``(problems, m)``."""
        row = self.kernels[self.which[:, None], self.rows.gather(1, place), self.rows]
        return row.double()

    def _last_best(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The greatest value of each problem, and the last place that has it."""
        best = values.amax(1, keepdim=True)
        return best, torch.where(values == best, self.places, 0).amax(1, keepdim=True)

    def _sides(self, among: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which coefficients may move each way, and the scores that order them."""
        below, above = self.alpha < self.c[:, None], self.alpha > 0
        one, other = self.signs > 0, self.signs < 0
        up = ((one & below) | (other & above)) & among
        low = ((one & above) | (other & below)) & among
        return up, low, -self.signs * self.gradient


def _highest(score: Tensor, up: Tensor) -> Tensor:
    return score.masked_fill(~up, -torch.inf).amax(1)


def _lowest(score: Tensor, low: Tensor) -> Tensor:
    return score.masked_fill(~low, torch.inf).amin(1)
