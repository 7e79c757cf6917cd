"""One frame from each of several equal segments of a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def segment_frames(
    frames: int, segments: int, rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """A frame of each segment, ascending: a random one, or the middle one without a generator.

    A clip with fewer frames than segments repeats some: their middles, at fractions of a frame.

    Args:
        frames: of the clip, at least one.
    """
    middles = ((np.arange(segments) + 0.5) * frames / segments).astype(np.int64)
    if rng is None or frames < segments:
        return middles
    borders = (np.arange(segments + 1) * frames) // segments
    return rng.integers(borders[:-1], borders[1:])
