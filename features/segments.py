"""Half-overlapping pieces of sound, one for each video frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: rate at which librosa.load resamples by default (librosa 0.11), and its number of mel bands
RATE, N_MELS = 22_050, 128

#: Rasipuram et al. 2020: 40 MFCC beside 128 mel bands, 168 numbers a frame
N_MFCC = 40

Placement = Literal["auto", "uniform", "timeline"]

#: frames of a clip of constant rate lie this near to an even grid, in frame intervals (our
#: choice: beyond it, even segments would lie nearer to another frame than to their own)
EVEN = 0.5


@dataclass(frozen=True, eq=False)
class Segments:
    """Where the pieces lie in the clip's sound.

    Attributes:
        starts: int64 ``(frames,)``, samples after the first frame's time.
        length: samples of each piece.
        total: samples of the whole, from the first frame's time to the last frame's stop.
    """

    starts: NDArray[np.int64]
    length: int
    total: int

    @property
    def reach(self) -> int:
        """Samples from the first frame's time to behind the whole and every piece."""
        return max(self.total, int(self.starts[-1])) + self.length


def lay_segments(
    times: NDArray[np.float64], last_duration: float, rate: int, placement: Placement
) -> Segments:
    """One segment per frame: N frames in T samples give hop T/(N+1) and window 2T/(N+1).

    ``uniform``: segment i starts at sample round(i T/(N+1)), whatever the frames' times.
    ``timeline``: at (t_i - t_0) N/(N+1) seconds, which is the same for even frames, and keeps to
    the frames where their rate varies. ``auto``: the first for even frames, else the second.

    Args:
        times: container seconds of the frames, increasing; at least one.
        last_duration: seconds for which the last frame is shown.
        rate: samples per second.
        placement: see above.
    """
    count = len(times)
    since_first = times - times[0]
    total = max(1, round((since_first[-1] + last_duration) * rate))
    if placement == "uniform" or (placement == "auto" and is_even(times, last_duration)):
        starts = np.rint(np.arange(count) * float(total) / (count + 1))
    else:
        starts = np.rint(since_first * (count / (count + 1)) * rate)
    length = max(1, round(2 * total / (count + 1)))
    return Segments(starts.astype(np.int64), length, total)


def is_even(times: NDArray[np.float64], last_duration: float) -> bool:
    """The frame rate is constant: no frame is more than half an interval off an even grid.

    The grid goes from the first frame's time to the last one's. Timestamps rounded to
    milliseconds (FLV, Matroska) are even; a clip with a gap, one that changes between 15 and
    30 fps, or one whose last picture is held, isn't. A last frame that is cut short (by an edit
    list, say) moves no segment by more than a frame and counts as even.
    """
    if len(times) < 2:
        return True
    grid = np.linspace(times[0], times[-1], len(times))
    interval = (times[-1] - times[0]) / (len(times) - 1)
    if last_duration > (1 + EVEN) * interval:
        return False
    return bool(np.max(np.abs(times - grid)) <= EVEN * interval)
