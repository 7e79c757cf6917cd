"""Samples of an audio stream and the time of the first one, from one ffmpeg process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import MediaTooLarge
from features.media.command import audio_command
from features.media.limits import Limits
from features.media.probe import AudioStream
from features.media.process import FFmpeg
from features.media.video import TRUNCATION_MESSAGES, seconds_of, truncated

if TYPE_CHECKING:
    from features.media.recording import Recording

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


def read_s16(
    path: str,
    name: str,
    stream: AudioStream,
    rate: int,
    cut: Cut,
    shared: Recording | None = None,
) -> Waveform[np.int16]:
    """Mono int16 at ``rate``: to the bit what ``ffmpeg -vn -ac 1 -ar RATE`` gives.

    A cut is taken out of the whole stream's samples, so that it holds the same ones:
    ``round((start - t0) * rate)`` to ``round((stop - t0) * rate)``; with ``shared``, cuts that
    follow each other are taken out of one decode.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed: see there.
    """
    command = audio_command(path, stream, rate, "s16le", mono=True)
    return _read(command, name, rate, 1, np.dtype("<i2"), cut, shared)


def read_native(
    path: str, name: str, stream: AudioStream, cut: Cut, shared: Recording | None = None
) -> Waveform[np.float32]:
    """Mono float32 at the stream's own rate, the mean of its channels as librosa takes it.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed: see there.
    """
    command = audio_command(path, stream, stream.rate, "f32le", mono=False)
    return _read(command, name, stream.rate, stream.channels, np.dtype("<f4"), cut, shared)


def _read(
    command: list[str],
    name: str,
    rate: int,
    channels: int,
    dtype: np.dtype[S],
    cut: Cut,
    shared: Recording | None,
) -> Waveform[S]:
    def start() -> SoundStream[S]:
        return SoundStream(command, name, rate, channels, dtype, cut.limits)

    if shared is not None:
        key = (*command, cut.limits, cut.keep_truncated)
        found: Waveform[S] | None = shared.sound(key, start, name, cut)
        if found is not None:
            return found
    with closing(start()) as alone:
        return alone.read(name, cut)


class SoundStream(Generic[S]):
    """One decode of a stream's sound, from its start; cuts that follow each other may share it.

    Samples before the start of the last cut that was read are forgotten.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        rate: int,
        channels: int,
        dtype: np.dtype[S],
        limits: Limits,
    ) -> None:
        # Until a cut's start nothing is kept, but samples still come: no longer stall is needed.
        self._process = FFmpeg(command, name=name, stall=limits.stall)
        self._rate, self._channels, self._dtype = rate, channels, dtype
        self._most, self._most_seconds = int(limits.seconds * rate), limits.seconds
        self._t0: float | None = None
        self._kept: list[tuple[int, NDArray[S]]] = []
        self._from = self._at = 0
        self._ended = False

    def holds(self, cut: Cut) -> bool:
        """The cut's samples weren't forgotten yet."""
        return self._t0 is None or self._first(cut, self._t0) >= self._from

    def read(self, name: str, cut: Cut) -> Waveform[S]:
        """The samples of a cut that starts where the last one did, or later."""
        self._process.name = name
        t0 = self._start(name)
        if t0 is None:
            return Waveform(np.zeros(0, self._dtype), self._rate, cut.start or 0.0)
        first = self._first(cut, t0)
        stop = None if cut.stop is None else max(first, round((cut.stop - t0) * self._rate))
        self._forget(first)
        while not self._ended and (stop is None or self._at < stop):
            self._one_piece(name, cut.keep_truncated)
        pieces = [p[max(0, first - i) : None if stop is None else stop - i] for i, p in self._kept]
        samples = np.concatenate([p for p in pieces if len(p)] or [np.zeros(0, self._dtype)])
        time = t0 + first / self._rate if len(samples) else cut.start or t0
        return Waveform(samples, self._rate, time)

    def close(self) -> None:
        """End the decoder."""
        self._process.close()

    def _start(self, name: str) -> float | None:
        """Container seconds of the stream's first sample; None if it has none."""
        if self._t0 is None and not self._ended:
            line = self._process.read_line()
            if line is None:
                self._process.finish()
                self._ended = True
                return None
            self._t0 = _first_time(line, name, self._process.log, self._rate)
            self._process.ignore_lines()
        return self._t0

    def _first(self, cut: Cut, t0: float) -> int:
        return 0 if cut.start is None else max(0, round((cut.start - t0) * self._rate))

    def _forget(self, first: int) -> None:
        self._from = first
        self._kept = [(i, p) for i, p in self._kept if i + len(p) > first]

    def _one_piece(self, name: str, keep_truncated: bool) -> None:
        """Decode on a little."""
        piece = _piece(self._process, self._channels, self._dtype)
        if not len(piece):
            self._process.finish()
            self._ended = True
            log = self._process.log
            if not keep_truncated and any(m in log for m in TRUNCATION_MESSAGES):
                raise truncated(name, "its last packet isn't whole", log)
            return
        if self._at + len(piece) > self._from:
            self._kept.append((self._at, piece))
        self._at += len(piece)
        if self._at > self._most:
            raise MediaTooLarge(
                f"{name} has more than {self._most_seconds:g} s of sound; "
                "cut it, or raise the limit"
            )


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
