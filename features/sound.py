"""What the extractors of whole clips of sound share: rows for clips without any, and framing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.audio_16k import span_by_headers
from features.media.audio import Waveform
from features.media.media import Media

S = TypeVar("S", bound=np.generic)

#: what 16-bit samples are shares of
FULL_SCALE = 32_768.0

#: samples of the windows that are worked on at once
SAMPLES_PER_BLOCK = 1 << 16


def decoded(media: Media, rate: int) -> Waveform[np.int16] | None:
    """ffmpeg's mono samples at ``rate``; None without a track, or if none of it lies in the cut.

    Holes of the track are zeros, so that all sound lies at its own time.

    Raises:
        MediaError: see ``features.media.audio.read_s16``.
    """
    wave = media.audio_s16(rate, placed=True)
    return None if wave is None or len(wave.samples) == 0 else wave


def heard(
    size: int,
    holes: Sequence[tuple[int, int]],
    starts: NDArray[np.int64],
    length: int | NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which windows ``[start, start + length)`` have a sample of the track beneath them.

    The track has ``size`` samples, less its holes (see ``Waveform``); windows may reach over both
    ends.

    Returns:
        bool, one per start.
    """
    first, stop = np.maximum(starts, 0), np.minimum(starts + length, size)
    found: NDArray[np.bool_] = first < stop
    if holes:
        begins, ends = np.array(holes).T
        at = np.searchsorted(begins, first, side="right") - 1
        found &= (at < 0) | (stop > ends[at])
    return found


def full_scale(samples: NDArray[np.signedinteger[Any]]) -> NDArray[np.float64]:
    """The samples (or a sum of them) as shares of full scale."""
    return samples / FULL_SCALE


def silent_span(media: Media, rate: int) -> tuple[float, int]:
    """For clips without sound: when the clip starts, and how many samples it would have."""
    start, stop = span_by_headers(media)
    return start, max(0, round((stop - start) * rate))


def windows(sound: NDArray[S], length: int, hop: int) -> Iterator[tuple[int, NDArray[S]]]:
    """``(index of the first, (n, length) view)`` of all whole windows, in blocks.

    Blocks are of a fixed size, so that numbers don't depend on memory, and small enough for what
    is made of one to stay in the processor's cache.

    A sound that is shorter than a window gives none.
    """
    if len(sound) < length:
        return
    every = np.lib.stride_tricks.sliding_window_view(sound, length)[::hop]
    rows = max(1, SAMPLES_PER_BLOCK // length)
    for at in range(0, len(every), rows):
        yield at, every[at : at + rows]
