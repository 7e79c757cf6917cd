"""The 10 s of mel bands that the aural network of Kuhnke et al. 2020 sees, cut from logmel_64."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.logmel_64 import AMIN, BANDS, RATE, STEP, WINDOW

#: Kuhnke et al. 2020: 10 s at 10 ms
ROWS = 1001
HALF = ROWS // 2
#: the authors' code: range of AmplitudeToDB, then mean and deviation
TOP_DB, MEAN, DEVIATION = 80.0, -14.8, 19.895
#: dB of no power at all
NOTHING = 10.0 * np.log10(AMIN)

Border = Literal["centred", "released"]


def logmel_window(
    rows: NDArray[np.float32], t0: float, time: float, border: Border = "centred"
) -> NDArray[np.float32]:
    """``(1001, 64)`` network input for a frame at ``time``.

    ``centred`` (the paper): row 500 is the one nearest to ``time``; rows without sound have zero
    power. ``released`` (the authors' code): the sound from 5 s before on, for 10 s, but not for
    longer than from the track's start to ``time``; what is shorter than 10 s stands at the stop
    of the window, with zero power before it.

    Then 80 dB under the window's loudest value are kept, and it is normalised. The first and the
    last row of a window inside the clip see the sound around it, where the authors' own cut
    reflects it.

    Args:
        rows: all of the clip's rows of ``logmel_64``, in dB. t0: container seconds of the first.
        time: container seconds of the frame.
    """
    out = np.full((ROWS, BANDS), NOTHING, np.float32)
    if border == "centred":
        first = round((time - t0) / STEP) - HALF
        used = rows[max(0, first) : max(0, first + ROWS)]
        at = max(0, -first)
    else:
        elapsed = max(time - t0, WINDOW / RATE)
        first = max(0, round((time - t0) / STEP) - HALF)
        used = rows[first : first + min(ROWS, round(elapsed / STEP) + 1)]
        at = ROWS - len(used)
    if len(used):
        out[at : at + len(used)] = used
    np.maximum(out, out.max() - np.float32(TOP_DB), out=out)
    out -= np.float32(MEAN)
    out /= np.float32(DEVIATION)
    return out
