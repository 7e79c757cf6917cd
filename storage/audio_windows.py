"""Pieces of sound as networks see them, cut from the segment rows that a store holds.

The rows' own step, floor and number of columns belong to the extractors ``logmel_64`` and
``spectrogram_192x120``; a test holds them equal to what stands here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Kuhnke et al. 2020: 10 s at 10 ms
LOGMEL_ROWS = 1001
LOGMEL_STEP, LOGMEL_BANDS = 0.01, 64
#: seconds of sound behind one row
LOGMEL_SPAN = 0.02
#: of a row: a time that is a whole number of rows but for its last binary digits is one
ROUNDING = 1e-6
#: the authors' code: range of AmplitudeToDB, then mean and deviation
TOP_DB, MEAN, DEVIATION = 80.0, -14.8, 19.895
#: dB of no power at all
LOGMEL_FLOOR = -100.0

#: Birhala et al. 2020: 1.28 s as 192 frequencies x 120 columns, of 256 rows at 5 ms
SPECTROGRAM_BANDS, SPECTROGRAM_COLUMNS = 192, 120
SPECTROGRAM_STEP, SPECTROGRAM_ROWS = 0.005, 256
#: log power of silence
SPECTROGRAM_FLOOR = float(np.log(1e-6))

Border = Literal["centred", "released"]


def logmel_window(
    rows: NDArray[np.float32],
    t0: float,
    time: float,
    border: Border = "centred",
    begin: float | None = None,
) -> NDArray[np.float32]:
    """``(1001, 64)`` network input for a frame at ``time``.

    ``centred`` (the paper): row 500 is the one nearest to ``time``; rows without sound have zero
    power. ``released`` (the authors' code): the sound from 5 s before on, for 10 s, but not for
    longer than from ``begin`` to ``time``; what is shorter than 10 s stands at the stop of the
    window, with zero power before it. Sound before ``begin`` is left out.

    Then 80 dB under the window's loudest value are kept, and it is normalised. The first and the
    last row of a window inside the clip see the sound around it, where the authors' own cut
    reflects it.

    Args:
        rows: all of the clip's rows of ``logmel_64``, in dB. t0: container seconds of the first.
        time: container seconds of the frame.
        begin: of the clip's first frame, where the authors' files of sound begin, cut off or
            filled up with zeros; None: where the track does.
    """
    start, stop, at = logmel_span(len(rows), t0, time, border, begin)
    return logmel_input(rows[start:stop], at)


def logmel_span(
    rows: int, t0: float, time: float, border: Border = "centred", begin: float | None = None
) -> tuple[int, int, int]:
    """Which of a clip's rows ``[start, stop)`` a window holds, and its row where they begin."""
    half = LOGMEL_ROWS // 2
    if border == "centred":
        first = round((time - t0) / LOGMEL_STEP) - half
        start, stop = max(0, first), min(rows, first + LOGMEL_ROWS)
        return (start, stop, max(0, -first)) if start < stop else (0, 0, 0)
    begin = t0 if begin is None else begin
    # rows from here on count from where the authors' file begins
    late = round((t0 - begin) / LOGMEL_STEP)
    elapsed = max(time - begin, LOGMEL_SPAN)
    first = max(0, round((time - begin) / LOGMEL_STEP) - half)
    last = min(late + rows, first + min(LOGMEL_ROWS, int(elapsed / LOGMEL_STEP + ROUNDING) + 1))
    start = max(first, late)
    if start >= last:
        return 0, 0, 0
    return start - late, last - late, LOGMEL_ROWS - (last - start)


def logmel_input(used: NDArray[np.float32], at: int) -> NDArray[np.float32]:
    """``(1001, 64)`` network input of rows that begin at row ``at``; NaN is silence."""
    out = np.full((LOGMEL_ROWS, LOGMEL_BANDS), LOGMEL_FLOOR, np.float32)
    out[at : at + len(used)] = np.nan_to_num(used, nan=LOGMEL_FLOOR)
    np.maximum(out, out.max() - np.float32(TOP_DB), out=out)
    out -= np.float32(MEAN)
    out /= np.float32(DEVIATION)
    return out


def spectrogram_window(rows: NDArray[np.float32], t0: float, centre: float) -> NDArray[np.float32]:
    """``(192, 120)`` for the 1.28 s around ``centre``; beyond the sound and in holes it is silent.

    Bilinear with half-pixel centres, as OpenCV and torch have it; there is no smoothing before
    values are left out.

    Args:
        rows: all of the clip's rows of ``spectrogram_192x120``. t0: container seconds of the
            first.
        centre: container seconds of the window's middle, which comes to lie between two rows.
    """
    count, wanted = SPECTROGRAM_ROWS, SPECTROGRAM_COLUMNS
    first = int(np.floor((centre - t0) / SPECTROGRAM_STEP + 0.5)) - count // 2
    cut = np.full((count, SPECTROGRAM_BANDS), SPECTROGRAM_FLOOR, np.float32)
    start, stop = max(0, first), min(len(rows), first + count)
    if start < stop:
        used = np.nan_to_num(rows[start:stop], nan=SPECTROGRAM_FLOOR)
        cut[start - first : stop - first] = used
    place = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0, count - 1)
    low = np.minimum(np.floor(place), count - 2).astype(np.int64)
    weight = (place - low)[:, None].astype(np.float32)
    return (cut[low] * (1 - weight) + cut[low + 1] * weight).T
