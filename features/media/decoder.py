"""One running video decoder: its frames in order, as far as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from features.errors import DecodeFailed, FrameCountMismatch
from features.media.process import FFmpeg


class _Counter:
    def __init__(self) -> None:
        self.value = 0


_starts = _Counter()


def decoder_starts() -> int:
    """How many video decoders this process has started since the last reset."""
    return _starts.value


def set_decoder_starts(count: int = 0) -> None:
    """Set what ``decoder_starts`` counts from."""
    _starts.value = count


class Decoder:
    """An ffmpeg that decodes a video stream; cuts that follow each other may share it.

    Args:
        command: see ``features.media.command.video_command``.
        name: what messages call the clip that is read; may be changed between clips.
        shape: of a frame, ``(height, width, 3)``; None gives times only.
    """

    def __init__(
        self, command: Sequence[str], name: str, shape: tuple[int, int, int] | None, stall: float
    ) -> None:
        _starts.value += 1
        self._process = FFmpeg(command, name=name, stall=stall)
        self.shape = shape
        self.at, self.ended = -np.inf, False
        self._decoded = 0
        self._held: tuple[float, NDArray[np.uint8] | None] | None = None

    @property
    def name(self) -> str:
        """What messages call the clip."""
        return self._process.name

    @name.setter
    def name(self, name: str) -> None:
        self._process.name = name

    @property
    def log(self) -> str:
        """The last of what ffmpeg said so far."""
        return self._process.log

    def next(self, into: NDArray[np.uint8] | None) -> float | None:
        """Container seconds of the next frame, its pixels in ``into``; None after the last one.

        Raises:
            DecodeFailed: times don't increase, or ffmpeg failed or stalled.
            FrameCountMismatch: its pixels are missing.
        """
        if self._held is not None:
            (time, frame), self._held = self._held, None
            if into is not None and frame is not None:
                into[:] = frame
            return time
        line = self._process.read_line()
        if line is None:
            self.ended = True
            return None
        time = seconds_of(line, self.name, self.log)
        if time <= self.at:
            raise DecodeFailed(
                f"{self.name}: frame {self._decoded} is at {time:.6f} s, the one before at "
                f"{self.at:.6f} s; times must increase: write the file anew with ffmpeg",
                log=self.log,
            )
        self.at, self._decoded = time, self._decoded + 1
        if into is not None:
            view = into.reshape(-1).data
            if self._process.read_into(view) != len(view):
                self._process.finish()
                raise self.mismatch(f"the pixels of frame {self._decoded - 1} are missing")
        return time

    def hold(self, frame: NDArray[np.uint8] | None) -> None:
        """Give the last frame back: ``next`` gives it again."""
        self._held = self.at, None if frame is None else frame.copy()

    def skip_to(self, start: float) -> bool:
        """Drop frames until the next one is at ``start`` or later; False if there is none."""
        scratch = None if self.shape is None else np.empty(self.shape, np.uint8)
        while (time := self.next(scratch)) is not None:
            if time >= start:
                self.hold(scratch)
                return True
        return False

    def finish(self) -> None:
        """Wait for ffmpeg's own end.

        Raises:
            DecodeFailed: it stopped with an error.
            FrameCountMismatch: pixels were left.
        """
        if left := self._process.finish():
            raise self.mismatch(f"{left} bytes of pixels have no time")

    def mismatch(self, what: str) -> FrameCountMismatch:
        """The error for frames and times that differ in number."""
        return FrameCountMismatch(
            f"{self.name}: frames and their times differ in number ({what}); "
            "write the file anew with ffmpeg",
            log=self.log,
        )

    def close(self) -> None:
        """Kill ffmpeg if it still runs, and reap it."""
        self._process.close()


def seconds_of(line: str, name: str, log: str) -> float:
    """Container seconds of a line ``timestamp num/den``, rounded once.

    Raises:
        DecodeFailed: the line holds no time.
    """
    stamp, _, base = line.partition(" ")
    try:
        return float(int(stamp) * Fraction(base))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise DecodeFailed(
            f"{name}: ffmpeg gave a frame without a time ({line!r}); "
            "write the file anew with ffmpeg",
            log=log,
        ) from error
