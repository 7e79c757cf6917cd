"""All detections of a clip, as tracks are made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: stands for: nobody has described this face
NONE = -1


@dataclass(frozen=True, eq=False)
class Detections:
    """All detections of a clip, frame after frame.

    Attributes:
        frames: int64 ``(n,)``, counting only frames that were looked at.
        boxes: float64 ``(n, 4)``, x0 y0 x1 y1; points: ``(n, 5, 2)``, of both eyes, the nose and
            the corners of the mouth.
        described: int64 ``(n,)``, the row of ``identity`` that describes each, or ``NONE``.
        identity: float64 ``(m, k)``.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    described: NDArray[np.int64]
    identity: NDArray[np.float64]
