"""What a media file says of itself in its headers, and how its first picture is shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from features.errors import MediaForbidden, MediaMissing, MediaTruncated, MediaUnreadable
from features.media.guard import OPEN_OPTIONS, check_file, media_url, picture_kind, playlist_kind
from features.media.shown import shown
from features.media.truncation import missing_bytes

#: seconds for opening a file, and for each further read
OPEN_TIMEOUT = 60.0


@dataclass(frozen=True)
class VideoStream:
    """The video stream that is decoded: the default one, else the largest; never a cover picture.

    Attributes:
        index: number of the stream in the file.
        codec: ffmpeg's name, for example ``h264``.
        coded_width, coded_height: pixels as stored.
        width, height: pixels as ffmpeg shows the first picture, after cropping and rotation; the
            shape of all decoded frames. A pixel aspect other than 1 isn't applied.
        rotation: degrees counter-clockwise that the container or the stream asks for.
        fps: average frames per second by the headers, None if they don't say.
        time_base: seconds per unit of the timestamps.
        aspect: width of a pixel by its height; 1 where unknown.
        start, duration: container seconds of the stream's start, and its length, by the headers;
            None if unknown.
    """

    index: int
    codec: str
    coded_width: int
    coded_height: int
    width: int
    height: int
    rotation: float
    fps: float | None
    time_base: Fraction
    aspect: Fraction
    start: float | None
    duration: float | None


@dataclass(frozen=True)
class AudioStream:
    """The audio stream that is decoded: the default one, else the one with most channels.

    Attributes:
        index, codec, start: as for VideoStream.
        rate: samples per second.
        channels: number of channels.
    """

    index: int
    codec: str
    rate: int
    channels: int
    start: float | None


@dataclass(frozen=True)
class Probe:
    """The headers of a file.

    Attributes:
        format: ffmpeg's name of the container, for example ``mov,mp4,m4a,3gp,3g2,mj2``.
        duration: seconds by the headers, None if they don't say.
        start: container seconds at which the first stream starts, None if unknown.
        video, audio: the streams that are decoded, or None.
    """

    format: str
    duration: float | None
    start: float | None
    video: VideoStream | None
    audio: AudioStream | None


def probe(path: str) -> Probe:
    """The headers of a file.

    Raises:
        MediaMissing, MediaEmpty, MediaUnreadable: no file, nothing in it, no media.
        MediaForbidden: a playlist or another kind of file that would open further files.
        MediaTruncated: it stops in the middle, and what is missing is needed to read the rest.
    """
    check_file(path)
    with open_container(path) as container:
        video = max(
            (s for s in container.streams.video if not s.disposition & Disposition.attached_pic),
            key=lambda s: (_is_default(s), s.codec_context.width * s.codec_context.height),
            default=None,
        )
        audio = max(
            container.streams.audio,
            key=lambda s: (_is_default(s), s.codec_context.channels),
            default=None,
        )
        return Probe(
            format=container.format.name,
            duration=_in_seconds(container.duration, Fraction(1, av.time_base)),
            start=_in_seconds(container.start_time, Fraction(1, av.time_base)),
            video=_video(path, video) if video is not None else None,
            audio=_audio(audio) if audio is not None else None,
        )


def open_container(path: str) -> InputContainer:
    """Open a file by PyAV, guarded; the caller closes it.

    Raises:
        MediaForbidden, MediaTruncated, MediaUnreadable, MediaMissing: as ``probe``.
    """
    # The list of accepted kinds already refuses playlists; their first bytes are looked at
    # before only so that the message can say what the file is.
    kind = playlist_kind(path)
    if kind is not None:
        raise _forbidden(path, kind)
    try:
        return av.open(
            media_url(path),
            mode="r",
            container_options=dict(OPEN_OPTIONS),
            timeout=OPEN_TIMEOUT,
            metadata_errors="replace",
        )
    except av.error.ArgumentError as error:
        if picture := picture_kind(path):
            raise MediaUnreadable(
                f"{path!r} is a still picture ({picture}), no video; take it out of the corpus"
            ) from error
        raise _forbidden(path, "no video or sound of a kind that is read") from error
    except PermissionError as error:
        raise MediaMissing(f"{path!r} may not be read; change its permissions") from error
    except (FFmpegError, OSError, UnicodeError) as error:
        if missing := missing_bytes(path):
            raise MediaTruncated(
                f"{path!r} stops in the middle, at least {missing} bytes are missing, its index "
                "among them, so that nothing can be read; fetch it again"
            ) from error
        if _is_pointer(path):
            raise MediaUnreadable(
                f"{path!r} is only a pointer of Git LFS; fetch the file itself: git lfs pull"
            ) from error
        raise MediaUnreadable(
            f"{path!r} is no media file that ffmpeg can read ({_reason(error)}); "
            "convert it, or take it out of the corpus"
        ) from error


def _is_pointer(path: str) -> bool:
    """True for the small text that Git LFS leaves in the place of a file, as CREMA-D's are."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return head.startswith(b"version ") and b"git-lfs" in head


def sha256_file(path: str) -> str:
    """sha256 (hex) of a file's bytes.

    Raises:
        MediaMissing, MediaEmpty, MediaUnreadable: as ``check_file``.
    """
    check_file(path)
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaMissing(f"{path!r} can't be read ({_reason(error)})") from error


def _forbidden(path: str, kind: str) -> MediaForbidden:
    return MediaForbidden(
        f"{path!r} is {kind}: only files that hold their own pictures and sound are read; "
        "convert it to MP4 yourself, or take it out of the corpus"
    )


def _video(path: str, stream: av.VideoStream) -> VideoStream:
    context = stream.codec_context
    picture = shown(path, stream.index, context.width, context.height)
    rate, base = stream.average_rate, Fraction(stream.time_base or Fraction(1, av.time_base))
    if rate is not None and rate * base >= 1:
        # a frame per tick, as of raw DV, is no average
        rate = stream.guessed_rate
    return VideoStream(
        index=stream.index,
        codec=context.name,
        coded_width=context.width,
        coded_height=context.height,
        width=picture.width,
        height=picture.height,
        rotation=picture.rotation,
        fps=float(rate) if rate else None,
        time_base=base,
        aspect=Fraction(stream.sample_aspect_ratio or 1),
        start=_in_seconds(stream.start_time, stream.time_base),
        duration=_in_seconds(stream.duration, stream.time_base),
    )


def _audio(stream: av.AudioStream) -> AudioStream:
    context = stream.codec_context
    return AudioStream(
        index=stream.index,
        codec=context.name,
        rate=context.sample_rate,
        channels=context.channels,
        start=_in_seconds(stream.start_time, stream.time_base),
    )


def _is_default(stream: av.VideoStream | av.AudioStream) -> bool:
    return bool(stream.disposition & Disposition.default)


def _in_seconds(ticks: int | None, base: Fraction | None) -> float | None:
    return None if ticks is None or base is None else float(ticks * base)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
