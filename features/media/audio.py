"""Samples of an audio stream and the time of the first one, from one ffmpeg process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import MediaTooLarge
from features.media.command import audio_command
from features.media.limits import Limits
from features.media.probe import AudioStream
from features.media.process import FFmpeg
from features.media.video import TRUNCATION_MESSAGES, seconds_of, truncated

#: samples (of all channels) that are read at a time
_CHUNK = 1 << 18

S = TypeVar("S", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Waveform(Generic[S]):
    """One channel of sound.

    Attributes:
        samples: ``(n,)``, int16 or float32 (full scale 1).
        rate: samples per second.
        t0: container seconds of the first sample; the cut's start where there is none.
    """

    samples: NDArray[S]
    rate: int
    t0: float

    @property
    def stop(self) -> float:
        """Container seconds just after the last sample."""
        return self.t0 + len(self.samples) / self.rate


@dataclass(frozen=True)
class Cut:
    """What of a stream is wanted, and under which limits."""

    start: float | None
    stop: float | None
    limits: Limits
    keep_truncated: bool


def read_s16(path: str, name: str, stream: AudioStream, rate: int, cut: Cut) -> Waveform[np.int16]:
    """Mono int16 at ``rate``: to the bit what ``ffmpeg -vn -ac 1 -ar RATE`` gives.

    A cut is taken out of the whole stream's samples, so that it holds the same ones:
    ``round((start - t0) * rate)`` to ``round((stop - t0) * rate)``.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed: see there.
    """
    command = audio_command(path, stream, rate, "s16le", mono=True)
    return _read(command, name, rate, 1, np.dtype("<i2"), cut)


def read_native(path: str, name: str, stream: AudioStream, cut: Cut) -> Waveform[np.float32]:
    """Mono float32 at the stream's own rate, the mean of its channels as librosa takes it.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed: see there.
    """
    command = audio_command(path, stream, stream.rate, "f32le", mono=False)
    return _read(command, name, stream.rate, stream.channels, np.dtype("<f4"), cut)


def _read(
    command: list[str], name: str, rate: int, channels: int, dtype: np.dtype[S], cut: Cut
) -> Waveform[S]:
    # Until the start of a cut nothing is kept, but samples still come: no longer stall is needed.
    with FFmpeg(command, name=name, stall=cut.limits.stall) as process:
        line = process.read_line()
        if line is None:
            process.finish()
            return Waveform(np.zeros(0, dtype), rate, cut.start or 0.0)
        t0 = _first_time(line, name, process.log, rate)
        process.ignore_lines()
        first = 0 if cut.start is None else max(0, round((cut.start - t0) * rate))
        stop = None if cut.stop is None else max(first, round((cut.stop - t0) * rate))
        kept, at = [], 0
        most = int(cut.limits.seconds * rate)
        while (stop is None or at < stop) and len(piece := _piece(process, channels, dtype)):
            kept.append(piece[max(0, first - at) : None if stop is None else stop - at])
            at += len(piece)
            if at > most:
                raise MediaTooLarge(
                    f"{name} has more than {cut.limits.seconds:g} s of sound; "
                    "cut it, or raise the limit"
                )
        if stop is None or at < stop:
            process.finish()
            if not cut.keep_truncated and any(m in process.log for m in TRUNCATION_MESSAGES):
                raise truncated(name, "its last packet isn't whole", process.log)
    samples = np.concatenate([p for p in kept if len(p)] or [np.zeros(0, dtype)])
    return Waveform(samples, rate, t0 + first / rate if len(samples) else cut.start or t0)


def _piece(process: FFmpeg, channels: int, dtype: np.dtype[S]) -> NDArray[S]:
    """The next samples, mixed down; none at the stream's stop."""
    buffer = np.empty((_CHUNK // channels + 1, channels), dtype)
    view = buffer.reshape(-1).view(np.uint8).data
    count = process.read_into(view) // (channels * dtype.itemsize)
    if channels == 1:
        return buffer[:count, 0]
    # librosa.to_mono: the mean over channels, in the samples' own type
    mean: NDArray[S] = buffer[:count].mean(axis=1, dtype=dtype)
    return mean


def _first_time(line: str, name: str, log: str, rate: int) -> float:
    """Exact time of the first sample.

    The line has the time after resampling, on the grid of the output's rate, and the decoder's
    own. Where the two differ by less than a sample, the second is the exact one.
    """
    resampled, _, decoded = line.partition(",")
    time = seconds_of(resampled, name, log)
    stamp, _, base = decoded.partition(" ")
    if base.startswith("0/") or not stamp.lstrip("-").isdigit():
        return time
    exact = seconds_of(decoded, name, log)
    return exact if abs(exact - time) < 1.0 / rate else time
