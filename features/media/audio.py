"""Samples of an audio stream and where they lie in time, from one ffmpeg process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import MediaTooLarge
from features.media.command import audio_command
from features.media.jumps import Jumps
from features.media.limits import Limits
from features.media.probe import AudioStream
from features.media.process import FFmpeg
from features.media.video import TRUNCATION_MESSAGES, seconds_of, truncated

if TYPE_CHECKING:
    from features.media.recording import Recording

#: samples (of all channels) that are read at a time
_CHUNK = 1 << 18

S = TypeVar("S", bound=np.generic)


@dataclass(frozen=True)
class Break:
    """Where the times of a track's packets leave the count of its samples.

    Attributes:
        time: container seconds at which the sound before it stops.
        seconds: by how much later the sound after it begins; negative where it overlaps.
    """

    time: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Waveform(Generic[S]):
    """One channel of sound.

    Attributes:
        samples: ``(n,)``, int16 or float32 (full scale 1).
        rate: samples per second.
        t0: container seconds of the first sample; the cut's start where there is none.
        holes: of sound that was placed by its times, where the track has none: ``[start, stop)``
            in samples, which are zeros there; in order, neither at the start nor at the stop.
        breaks: where its packets' times jump (``features.media.jumps``), placed or not.
    """

    samples: NDArray[S]
    rate: int
    t0: float
    holes: tuple[tuple[int, int], ...] = ()
    breaks: tuple[Break, ...] = ()

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
    *,
    placed: bool = False,
) -> Waveform[np.int16]:
    """Mono int16 at ``rate``: to the bit what ``ffmpeg -vn -ac 1 -ar RATE`` gives.

    That puts together what lies on both sides of a hole in the track. With ``placed``, each piece
    lies at its own time, with zeros between; a track without holes is the same either way.

    A cut is taken out of the whole stream's samples, so that it holds the same ones:
    ``round((start - t0) * rate)`` to ``round((stop - t0) * rate)``; with ``shared``, cuts that
    follow each other are taken out of one decode.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed: see there.
    """
    command = audio_command(path, stream, rate, "s16le", mono=True)
    return _read(command, name, rate, 1, np.dtype("<i2"), cut, shared, placed)


def read_native(
    path: str, name: str, stream: AudioStream, cut: Cut, shared: Recording | None = None
) -> Waveform[np.float32]:
    """Mono float32 at the stream's own rate, the mean of its channels as librosa takes it.

    Each piece lies at its own time, with zeros in the track's holes.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed: see there.
    """
    command = audio_command(path, stream, stream.rate, "f32le", mono=False)
    return _read(command, name, stream.rate, stream.channels, np.dtype("<f4"), cut, shared, True)


def _read(
    command: list[str],
    name: str,
    rate: int,
    channels: int,
    dtype: np.dtype[S],
    cut: Cut,
    shared: Recording | None,
    placed: bool,
) -> Waveform[S]:
    def start() -> SoundStream[S]:
        return SoundStream(command, name, rate, channels, dtype, cut.limits, placed)

    if shared is not None:
        key = (*command, cut.limits, cut.keep_truncated, placed)
        found: Waveform[S] | None = shared.sound(key, start, name, cut)
        if found is not None:
            return found
    with closing(start()) as alone:
        return alone.read(name, cut)


class SoundStream(Generic[S]):
    """One decode of a stream's sound, from its start; cuts that follow each other may share it.

    Samples before the start of the last cut that was read are forgotten. Places are samples from
    the first one's time: a sample's number, and with ``placed`` the jumps before it.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        rate: int,
        channels: int,
        dtype: np.dtype[S],
        limits: Limits,
        placed: bool = False,
    ) -> None:
        # Until a cut's start nothing is kept, but samples still come: no longer stall is needed.
        self._process = FFmpeg(command, name=name, stall=limits.stall)
        self._rate, self._channels, self._dtype = rate, channels, dtype
        self._most, self._most_seconds = int(limits.seconds * rate), limits.seconds
        self._placed, self._jumps = placed, Jumps(rate)
        self._t0: float | None = None
        self._undecided: list[tuple[int, NDArray[S]]] = []
        self._kept: list[tuple[int, NDArray[S]]] = []
        self._from = self._count = self._at = 0
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
        pieces = [
            (max(i, first), p[max(0, first - i) : None if stop is None else max(0, stop - i)])
            for i, p in self._kept
        ]
        pieces = [(i, p) for i, p in pieces if len(p)]
        breaks = self._breaks(t0, first, stop)
        if not pieces:
            none = np.zeros(0, self._dtype)
            return Waveform(none, self._rate, cut.start or t0, breaks=breaks)
        holes = [
            (i + len(p) - pieces[0][0], k - pieces[0][0])
            for (i, p), (k, _) in pairwise(pieces)
            if i + len(p) < k
        ]
        time = t0 + pieces[0][0] / self._rate
        return Waveform(_joined(pieces), self._rate, time, tuple(holes), breaks)

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
            self._jumps.add(line)
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
        # ffmpeg writes a packet's line before its samples: the lines of all that was read are there
        for line in self._process.lines_so_far():
            self._jumps.add(line)
        if self._ended:
            self._jumps.finish()
        if len(piece):
            self._undecided.append((self._count, piece))
            self._count += len(piece)
        self._place()
        if self._ended:
            log = self._process.log
            if not keep_truncated and any(m in log for m in TRUNCATION_MESSAGES):
                raise truncated(name, "its last packet isn't whole", log)
        if max(self._count, self._at) > self._most:
            raise MediaTooLarge(f"{name} has more than {self._most_seconds:g} s of sound; cut it")

    def _place(self) -> None:
        """Keep what is read and decided, each stretch between jumps at its place.

        What says that it lies before the stop of the sound so far is left out.
        """
        decided = self._jumps.decided if self._placed else None
        waiting, self._undecided = self._undecided, []
        for number, samples in waiting:
            while len(samples):
                if decided is not None and number >= decided:
                    self._undecided.append((number, samples))
                    break
                borders = [self._jumps.next(number) if self._placed else None, decided]
                stop = min((b for b in borders if b is not None), default=number + len(samples))
                now, samples = samples[: stop - number], samples[stop - number :]
                place = number + (self._jumps.shift(number) if self._placed else 0)
                number += len(now)
                now, place = now[max(0, self._at - place) :], max(self._at, place)
                if len(now):
                    self._at = place + len(now)
                    if self._at > self._from:
                        self._kept.append((place, now))

    def _breaks(self, t0: float, first: int, stop: int | None) -> tuple[Break, ...]:
        """The jumps from place ``first`` to before ``stop``."""
        found = []
        for jump in self._jumps.found:
            before = self._jumps.shift(jump.sample - 1)
            place = jump.sample + (before if self._placed else 0)
            if first <= place and (stop is None or place < stop):
                time = t0 + (jump.sample + before) / self._rate
                found.append(Break(time, (jump.shift - before) / self._rate))
        return tuple(found)


def _joined(pieces: Sequence[tuple[int, NDArray[S]]]) -> NDArray[S]:
    """Pieces ``(place, samples)`` in order, with zeros between."""
    parts: list[NDArray[S]] = []
    at = pieces[0][0]
    for place, samples in pieces:
        if place > at:
            parts.append(np.zeros(place - at, samples.dtype))
        parts.append(samples)
        at = place + len(samples)
    return np.concatenate(parts)


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
    resampled, decoded, *_ = line.split(",")
    time = seconds_of(resampled, name, log)
    stamp, _, base = decoded.partition(" ")
    if base.startswith("0/") or not stamp.lstrip("-").isdigit():
        return time
    exact = seconds_of(decoded, name, log)
    return exact if abs(exact - time) < 1.0 / rate else time
