"""The command lines of ffmpeg, built with ffmpeg-python."""

from __future__ import annotations

from collections.abc import Mapping

import ffmpeg

from features.media.guard import OPEN_OPTIONS, media_url
from features.media.probe import AudioStream, VideoStream
from features.media.process import TIMES
from features.media.programs import ffmpeg_path

#: bit-exact on every processor: no approximate rounding, no assembly that differs from C
SCALER = "bicubic+accurate_rnd+full_chroma_int+bitexact"

#: what ffmpeg writes for each frame: integer timestamp and time base
TIMES_FORMAT = "{pts} {tb}"

#: for sound also the decoder's own, before resampling, and how many samples came before
SOUND_TIMES_FORMAT = "{pts} {tb},{ptsi} {tbi},{sn}"

#: seconds around a cut that ffmpeg delivers beyond it; what lies outside is dropped by exact time
MARGIN = 0.001

#: threads of one decoder and of its filters: several run side by side, one in each worker, and
#: each further thread holds another picture; no number depends on it
DECODER_THREADS, FILTER_THREADS = 2, 1

_GLOBAL = (
    *("-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"),
    *("-filter_threads", str(FILTER_THREADS), "-filter_complex_threads", str(FILTER_THREADS)),
)


def video_command(
    path: str,
    stream: VideoStream,
    start: float | None,
    stop: float | None,
    pixels: bool,
    seek: float | None = None,
) -> list[str]:
    """Decode a video stream: raw RGB of the probed size on stdout, times on their own pipe.

    Timestamps stay the container's; frames are neither dropped nor repeated; display rotation
    is applied before scaling. The scaler keeps the size even if the stream's changes on its way.
    With ``seek``, decoding begins at the last key frame before that container second.
    """
    place: dict[str, object] = {}
    if seek is not None:
        place = {"ss": f"{seek:.6f}", "seek_timestamp": 1, "noaccurate_seek": None}
    video = _input(path, **place)[str(stream.index)]
    bounds = {}
    if start is not None:
        bounds["start"] = f"{start - MARGIN:.6f}"
    if stop is not None:
        bounds["end"] = f"{stop + MARGIN:.6f}"
    if bounds:
        video = video.filter("trim", **bounds)
    if pixels:
        video = video.filter("scale", stream.width, stream.height, flags=SCALER)
        video = video.filter("format", "rgb24")
        sink = {"format": "rawvideo", "vcodec": "rawvideo"}
    else:
        sink = {"format": "null"}
    sink |= {"fps_mode": "passthrough", "enc_time_base": "demux"}
    return _compile(video, sink, TIMES_FORMAT)


def audio_command(path: str, stream: AudioStream, rate: int, sample: str, mono: bool) -> list[str]:
    """Decode an audio stream: raw samples on stdout, times of its packets on their own pipe.

    ``sample`` is ffmpeg's raw format, ``s16le`` or ``f32le``. Mono is made by ffmpeg's own
    downmix; otherwise channels come interleaved, as many as the headers say.
    """
    channels = 1 if mono else stream.channels
    sink = {"format": sample, "acodec": f"pcm_{sample}", "ar": rate, "ac": channels}
    return _compile(_input(path)[str(stream.index)], sink, SOUND_TIMES_FORMAT)


def _input(path: str, **place: object) -> ffmpeg.Stream:
    return ffmpeg.input(
        media_url(path), copyts=None, threads=DECODER_THREADS, **place, **OPEN_OPTIONS
    )


def _compile(stream: ffmpeg.Stream, sink: Mapping[str, object], times: str) -> list[str]:
    sink = {**sink, "stats_enc_pre": TIMES, "stats_enc_pre_fmt": times}
    command: list[str] = ffmpeg.compile(
        ffmpeg.output(stream, "pipe:1", **sink).global_args(*_GLOBAL), cmd=ffmpeg_path()
    )
    return command
