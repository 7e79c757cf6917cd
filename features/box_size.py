"""How large a face's box may be: what is cut out of a frame has to fit into memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: a box of more than this many times the picture's longer side shows no face any more [ours]
LARGEST = 4


def too_large(sides: ArrayLike, height: int, width: int) -> NDArray[np.bool_]:
    """Which sides, in px, no face in a picture of that size can have; bool ``(n,)``."""
    return np.asarray(np.asarray(sides, np.float64) > LARGEST * max(height, width))
