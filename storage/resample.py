"""Another frame rate as a row index by time; what is stored stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["nearest", "previous"]

#: seconds by which a row may be late and still count as there: rounding of container clocks
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Resample:
    """Rows at a constant rate.

    Attributes:
        fps: rows per second.
        method: ``nearest`` in time (of two equally near ones the earlier), or ``previous``: the
            last row that has begun, which is what a player shows.
    """

    fps: float
    method: Method = "nearest"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps is {self.fps}; give a number above 0")
        if self.method not in ("nearest", "previous"):
            raise ValueError(f"method {self.method!r}: choose nearest or previous")

    def index(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each row at the new rate, the stored row to use.

        Args:
            times: seconds of the stored rows, ascending.

        Returns:
            int64 ``(floor((last - first) * fps) + 1,)``; empty without rows.
        """
        return rows_at(times, self.times(times), self.method)

    def times(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds of the rows at the new rate: from the first stored row on, 1 / fps apart."""
        if not len(times):
            return np.zeros(0)
        count = int(np.floor((times[-1] - times[0] + TOLERANCE) * self.fps)) + 1
        return np.asarray(times[0] + np.arange(count) / self.fps, np.float64)


def rows_at(
    times: NDArray[np.float64], wanted: NDArray[np.float64], method: Method = "nearest"
) -> NDArray[np.int64]:
    """For each wanted second, the row to use; before the first row it is the first one.

    Args:
        times: seconds of the rows there are, ascending, at least one if any is wanted.
    """
    if not len(wanted):
        return np.zeros(0, np.int64)
    previous = np.searchsorted(times, wanted + TOLERANCE, side="right") - 1
    previous = np.maximum(previous, 0)
    if method == "previous":
        return previous.astype(np.int64)
    following = np.minimum(previous + 1, len(times) - 1)
    nearer = np.abs(times[following] - wanted) + TOLERANCE < np.abs(times[previous] - wanted)
    return np.where(nearer, following, previous).astype(np.int64)


def nearest_valid(valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row the nearest valid one (of two equally near ones the earlier).

    Every row stands for itself where none is valid.
    """
    rows = np.arange(len(valid))
    good = np.flatnonzero(valid)
    if not len(good):
        return rows
    return good[rows_at(good.astype(np.float64), rows.astype(np.float64))]
