"""Which rows of a clip stand for it: one of each of its equal segments (Peng et al. 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def moments(rows: int, count: int, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """``count`` of ``rows`` rows, in order: one of each of ``count`` equal segments.

    Args:
        rows: at least 1.
        rng: draws one row of each segment at random; None takes the segments' centres.

    Returns:
        int64 ``(count,)``. Where there are fewer rows than segments, rows are repeated by the
        centres' rule, int(t / 2 + t · i) with t = rows / count, random or not (the authors' code).
    """
    segment = rows / count
    steps = np.arange(count)
    if rng is None or rows < count:
        centres: NDArray[np.int64] = (segment / 2 + segment * steps).astype(np.int64)
        return centres
    edges = np.arange(count + 1) * rows // count
    drawn: NDArray[np.int64] = rng.integers(edges[:-1], edges[1:])
    return drawn
