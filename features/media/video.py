"""Frames of a video stream and their times, both from one ffmpeg process."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.errors import DecodeFailed, EmptyCut, MediaTooLarge, MediaTruncated
from features.media.command import video_command
from features.media.decoder import Decoder, decoder_starts, seconds_of, set_decoder_starts
from features.media.limits import Limits
from features.media.probe import VideoStream

if TYPE_CHECKING:
    from features.media.recording import Recording

__all__ = ["FrameBatch", "decoder_starts", "read_video", "seconds_of", "set_decoder_starts"]

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
    span: tuple[float | None, float | None] = (None, None),
    seek: float | None = None,
    shared: Recording | None = None,
) -> Generator[FrameBatch]:
    """Frames with ``start <= time < stop`` in batches of ``batch``, the last one shorter.

    A frame is handed on only when its time is known. One ffmpeg process runs from the first
    ``next()`` until the last frame, an error, or the generator's close; it is always reaped.
    Memory: one batch. ``seek`` is where decoding may begin; None is the file's start. ``shared``
    keeps the decoder where another cut follows, and may have one from the cut before. ``span``:
    container seconds at which the video starts and stops by the headers, for messages.

    Raises:
        MediaTooLarge, MediaTruncated, DecodeFailed, FrameCountMismatch, EmptyCut: see there.
    """
    if stream.width * stream.height > limits.pixels:
        raise MediaTooLarge(
            f"{name}: pictures of {stream.width} x {stream.height} are over the limit of "
            f"{limits.pixels} pixels; scale it down"
        )
    shape = (stream.height, stream.width, 3) if pixels else None
    goes_on = shared is not None and shared.goes_on(stop, seek is not None)
    decoder = None
    if shared is not None and start is not None:
        decoder = shared.take(name, shape, start, seek is not None)
    if decoder is None:
        command = video_command(path, stream, start, None if goes_on else stop, pixels, seek)
        # Until the cut's start the decoder gives nothing; it needs less than the clip's own time.
        stall = limits.stall + max(0.0, (start or 0.0) - (seek or 0.0))
        decoder = Decoder(command, name, shape, stall)
    try:
        yield from _batches(decoder, batch, start, stop, limits, span)
        if shared is not None and stop is not None and goes_on and not decoder.ended:
            shared.keep(decoder, stop)
            decoder = None
        elif not keep_truncated and any(text in decoder.log for text in TRUNCATION_MESSAGES):
            raise truncated(name, "its last packet isn't whole", decoder.log)
    finally:
        if decoder is not None:
            decoder.close()


def truncated(name: str, why: str, log: str = "") -> MediaTruncated:
    """The error for a file that stops in the middle."""
    return MediaTruncated(
        f"{name} stops in the middle ({why}); fetch it again, or set media.truncated=keep "
        "to use what is there",
        log=log,
    )


def _batches(
    decoder: Decoder,
    batch: int,
    start: float | None,
    stop: float | None,
    limits: Limits,
    span: tuple[float | None, float | None],
) -> Iterator[FrameBatch]:
    name = decoder.name
    shape = None if decoder.shape is None else (batch, *decoder.shape)
    times = np.empty(batch)
    frames = None if shape is None else np.empty(shape, np.uint8)
    done = filled = 0
    first: float | None = None
    while (time := decoder.next(None if frames is None else frames[filled])) is not None:
        if stop is not None and time >= stop:
            decoder.hold(None if frames is None else frames[filled])
            break
        if start is not None and time < start:
            continue
        first = time if first is None else first
        if time - first > limits.seconds:
            raise MediaTooLarge(
                f"{name} has frames at {first:.3f} s and at {time:.3f} s, over the limit of "
                f"{limits.seconds:g} s; write the file anew with ffmpeg, or cut it"
            )
        times[filled] = time
        filled += 1
        if done + filled > limits.frames:
            raise MediaTooLarge(f"{name} has more than {limits.frames} frames; cut it")
        if filled == batch:
            yield FrameBatch(done, times, frames)
            done, filled, times = done + batch, 0, np.empty(batch)
            frames = None if shape is None else np.empty(shape, np.uint8)
    if decoder.ended:
        decoder.finish()
    if filled:
        yield FrameBatch(done, times[:filled], None if frames is None else frames[:filled])
    if done + filled == 0:
        raise _no_frames(name, start, stop, span, decoder.log)


def _no_frames(
    name: str,
    start: float | None,
    stop: float | None,
    span: tuple[float | None, float | None],
    log: str,
) -> EmptyCut | DecodeFailed:
    if start is None and stop is None:
        return DecodeFailed(
            f"{name}: its video stream holds no frame that can be decoded; "
            "look whether the file plays",
            log=log,
        )
    begins, ends = span
    where = "" if begins is None else f", by the headers they begin at {begins:.3f} s"
    if begins is not None and ends is not None:
        where += f" and end at {ends:.3f} s"
    return EmptyCut(f"{name}: no frame lies in the cut{where}; correct its start and stop")
