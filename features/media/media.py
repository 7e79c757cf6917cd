"""A clip's medium: one file, or a cut of it, and the ways to read it."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np

from features.errors import MediaTooLarge, NoVideoStream, RequestError
from features.media.audio import Cut, Waveform, read_native, read_s16
from features.media.limits import Limits
from features.media.probe import Probe, VideoStream, probe
from features.media.recording import Recording
from features.media.truncation import missing_bytes
from features.media.video import FrameBatch, read_video, truncated

log = logging.getLogger(__name__)

#: samples per second of ``audio_16k`` and of every model of speech that reads it
SPEECH_RATE = 16_000


#: containers whose index finds a key frame for sure
SEEKABLE = {"mp4", "matroska"}
#: seconds that are decoded before a cut, so that no frame of it leans on what was skipped
SEEK_LEAD = 15.0

S = TypeVar("S", bound=np.generic)


@dataclass(frozen=True)
class Media:
    """One media file, optionally cut; picklable, opens nothing before it is asked.

    Attributes:
        path: local path of the file.
        start, stop: the cut ``[start, stop)`` in container seconds, None = open.
        limits: bounds on time, frames and pixels.
        truncated: what happens to a file that stops in the middle: ``fail`` raises
            MediaTruncated, ``keep`` reads what is there.
        assets: role -> path of the clip's further files.
        attrs: the clip's attributes, such as ``side``.
        recording: decoders that the file's cuts share; None: each cut has its own.
    """

    path: str
    start: float | None = None
    stop: float | None = None
    limits: Limits = field(default_factory=Limits)
    truncated: Literal["fail", "keep"] = "fail"
    assets: Mapping[str, str] = field(default_factory=dict, hash=False)
    attrs: Mapping[str, str] = field(default_factory=dict, hash=False)
    recording: Recording | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.start is not None and self.stop is not None and not self.start < self.stop:
            raise RequestError(f"{self.name}: start must come before stop; correct them")

    @property
    def name(self) -> str:
        """What messages call it: the file's name, and the cut if there is one."""
        base = os.path.basename(self.path)
        if self.start is None and self.stop is None:
            return base
        start = "" if self.start is None else f"{self.start:g}"
        stop = "" if self.stop is None else f"{self.stop:g}"
        return f"{base} [{start}, {stop}) s"

    @cached_property
    def probe(self) -> Probe:
        """The file's headers.

        Raises:
            MediaMissing, MediaEmpty, MediaUnreadable, MediaForbidden, MediaTruncated: see there.
            MediaTooLarge: it is longer than the limit.
        """
        shared = self._shared
        found = probe(self.path) if shared is None else shared.facts(self.path)[0]
        if found.duration is not None and found.duration > self.limits.seconds:
            raise MediaTooLarge(
                f"{self.name} lasts {found.duration:.0f} s by its headers, over the limit of "
                f"{self.limits.seconds:g} s; split it, or, if that is wrong, write it "
                "anew with ffmpeg"
            )
        return found

    def video(self, batch: int, pixels: bool = True) -> Generator[FrameBatch]:
        """The clip's frames in batches of ``batch``, by one ffmpeg process.

        Times are the container's, never rebased. Closing the iterator stops ffmpeg.
        ``pixels=False`` gives times only, without converting a frame.

        Raises:
            NoVideoStream: the file has no video stream (a cover picture is none).
            MediaError: any other, see ``features.media.video.read_video``.
        """
        stream = self.probe.video
        if stream is None:
            raise NoVideoStream(
                f"{self.name} has no video stream; ask for features of sound only, "
                "or take it out of the corpus"
            )
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, not {batch}")
        self._check_whole()
        return read_video(
            self.path,
            self.name,
            stream,
            batch=batch,
            pixels=pixels,
            start=self.start,
            stop=self.stop,
            limits=self.limits,
            keep_truncated=self.truncated == "keep",
            span=_span(self.probe, stream),
            seek=self._seek,
            shared=self._shared,
        )

    @property
    def _seek(self) -> float | None:
        """Where decoding of the cut may begin; None: at the file's start."""
        indexed = bool(SEEKABLE & {*self.probe.format.split(",")})
        if not indexed or self.start is None or self.start < 2 * SEEK_LEAD:
            return None
        return self.start - SEEK_LEAD

    def audio_s16(
        self, rate: int = SPEECH_RATE, *, placed: bool = False
    ) -> Waveform[np.int16] | None:
        """Mono int16 at ``rate``, as ``ffmpeg -vn -ac 1 -ar RATE`` gives; None without a track.

        ``placed``: each piece at its own time, with zeros where the track has a hole.

        Raises:
            MediaError: see ``features.media.audio.read_s16``.
        """
        stream = self.probe.audio
        if stream is None:
            return None
        self._check_whole()
        return self._told(
            read_s16(self.path, self.name, stream, rate, self._cut, self._shared, placed=placed)
        )

    def audio_native(self) -> Waveform[np.float32] | None:
        """Mono float32 at the stream's own rate, the mean of channels; None without a track.

        Each piece lies at its own time, with zeros where the track has a hole.

        Raises:
            MediaError: see ``features.media.audio.read_native``.
        """
        stream = self.probe.audio
        if stream is None:
            return None
        self._check_whole()
        return self._told(read_native(self.path, self.name, stream, self._cut, self._shared))

    def _told(self, wave: Waveform[S]) -> Waveform[S]:
        """The sound, after a word about its breaks if none was said yet."""
        if wave.breaks and not self._said:
            first, number = wave.breaks[0], len(wave.breaks)
            self._said.append(self.name)
            log.warning(
                "%s: its sound jumps by %+.3f s at %.3f s%s; features that place sound by its "
                "times leave holes silent and invalid, audio_16k has what ffmpeg gives: what "
                "comes after lies too early by so much (too late where it is negative)",
                self.name,
                first.seconds,
                first.time,
                f" and at {number - 1} more places" if number > 1 else "",
            )
        return wave

    @cached_property
    def _said(self) -> list[str]:
        return []

    @property
    def _shared(self) -> Recording | None:
        """The shared decoders, if this is a cut."""
        return None if self.start is None and self.stop is None else self.recording

    @property
    def _cut(self) -> Cut:
        return Cut(self.start, self.stop, self.limits, self.truncated == "keep")

    @cached_property
    def _missing(self) -> int:
        shared = self._shared
        return missing_bytes(self.path) if shared is None else shared.facts(self.path)[1]

    def _check_whole(self) -> None:
        if self.truncated == "fail" and self._missing:
            raise truncated(self.name, f"at least {self._missing} bytes are missing")


def _span(found: Probe, stream: VideoStream) -> tuple[float | None, float | None]:
    """Container seconds at which the video starts and stops, as far as the headers tell."""
    start = found.start if stream.start is None else stream.start
    if start is None:
        return None, None
    if stream.duration is not None:
        return start, start + stream.duration
    if found.duration is None or found.start is None:
        return start, None
    return start, found.start + found.duration
