"""Frames of a video stream and their times, both from one ffmpeg process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from features.errors import (
    DecodeFailed,
    EmptyCut,
    FrameCountMismatch,
    MediaTooLarge,
    MediaTruncated,
)
from features.media.command import video_command
from features.media.limits import Limits
from features.media.probe import VideoStream
from features.media.process import FFmpeg

#: what ffmpeg's demuxers say when a file stops inside a packet whose size they know
TRUNCATION_MESSAGES = ("partial file", "File ended prematurely")


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Consecutive frames of a clip.

    Attributes:
        start: index of the first one in the clip.
        times: float64 ``(n,)``, container seconds, strictly increasing.
        frames: uint8 ``(n, height, width, 3)`` RGB, display rotation applied; None where only
            times were asked for.
    """

    start: int
    times: NDArray[np.float64]
    frames: NDArray[np.uint8] | None


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


def read_video(
    path: str,
    name: str,
    stream: VideoStream,
    *,
    batch: int,
    pixels: bool,
    start: float | None,
    stop: float | None,
    limits: Limits,
    keep_truncated: bool,
    seek: float | None = None,
) -> Iterator[FrameBatch]:
    """Frames with ``start <= time < stop`` in batches of ``batch``, the last one shorter.

    A frame is handed on only when its time is known. One ffmpeg process runs from the first
    ``next()`` until the last frame, an error, or the generator's close; it is always reaped.
    Memory: one batch. ``seek`` is where decoding may begin; None is the file's start.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed, FrameCountMismatch, EmptyCut: see there.
    """
    if stream.width * stream.height > limits.pixels:
        raise MediaTooLarge(
            f"{name}: pictures of {stream.width} x {stream.height} are over the limit of "
            f"{limits.pixels} pixels; scale it down, or raise the limit"
        )
    command = video_command(path, stream, start, stop, pixels, seek)
    # Until the start of a cut the decoder gives nothing; it needs less than the clip's own time.
    stall = limits.stall + max(0.0, (start or 0.0) - (seek or 0.0))
    _starts.value += 1
    with FFmpeg(command, name=name, stall=stall) as process:
        yield from _batches(process, name, stream, batch, pixels, start, stop, limits)
        if not keep_truncated and any(text in process.log for text in TRUNCATION_MESSAGES):
            raise truncated(name, "its last packet isn't whole", process.log)


def truncated(name: str, why: str, log: str = "") -> MediaTruncated:
    """The error for a file that stops in the middle."""
    return MediaTruncated(
        f"{name} stops in the middle ({why}); fetch it again, or set media.truncated=keep "
        "to use what is there",
        log=log,
    )


def _batches(
    process: FFmpeg,
    name: str,
    stream: VideoStream,
    batch: int,
    pixels: bool,
    start: float | None,
    stop: float | None,
    limits: Limits,
) -> Iterator[FrameBatch]:
    shape = (batch, stream.height, stream.width, 3)
    times = np.empty(batch)
    frames = np.empty(shape, np.uint8) if pixels else None
    done = filled = decoded = 0
    last = -np.inf
    while (line := process.read_line()) is not None:
        time = seconds_of(line, name, process.log)
        if time <= last:
            raise DecodeFailed(
                f"{name}: frame {decoded} is at {time:.6f} s, the one before at {last:.6f} s; "
                "times must increase: write the file anew with ffmpeg",
                log=process.log,
            )
        last, decoded = time, decoded + 1
        if frames is not None and not _read_frame(process, frames[filled]):
            process.finish()
            raise _mismatch(name, f"the pixels of frame {decoded - 1} are missing", process)
        if not _within(time, start, stop):
            continue
        times[filled] = time
        filled += 1
        if done + filled > limits.frames:
            raise MediaTooLarge(
                f"{name} has more than {limits.frames} frames; cut it, or raise the limit"
            )
        if filled == batch:
            yield FrameBatch(done, times, frames)
            done, filled, times = done + batch, 0, np.empty(batch)
            frames = np.empty(shape, np.uint8) if pixels else None
    if left := process.finish():
        raise _mismatch(name, f"{left} bytes of pixels have no time", process)
    if filled:
        yield FrameBatch(done, times[:filled], None if frames is None else frames[:filled])
    if done + filled == 0:
        raise _no_frames(name, start, stop, process)


def _read_frame(process: FFmpeg, frame: NDArray[np.uint8]) -> bool:
    view = frame.reshape(-1).data
    return process.read_into(view) == len(view)


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


def _within(time: float, start: float | None, stop: float | None) -> bool:
    return (start is None or start <= time) and (stop is None or time < stop)


def _mismatch(name: str, what: str, process: FFmpeg) -> FrameCountMismatch:
    return FrameCountMismatch(
        f"{name}: frames and their times differ in number ({what}); "
        "write the file anew with ffmpeg",
        log=process.log,
    )


def _no_frames(
    name: str, start: float | None, stop: float | None, process: FFmpeg
) -> EmptyCut | DecodeFailed:
    if start is None and stop is None:
        return DecodeFailed(
            f"{name}: its video stream holds no frame that can be decoded; "
            "look whether the file plays",
            log=process.log,
        )
    return EmptyCut(f"{name}: no frame lies in the cut; correct start and stop in the manifest")
