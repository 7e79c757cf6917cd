"""The size in which ffmpeg shows a stream's pictures, after cropping and turning.

Headers tell only what the container asks for. A turn may as well stand in the stream (H.264 and
HEVC display orientation, the EXIF of a JPEG), so one picture is decoded and asked.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import av

from features.errors import DecoderKilled, DecodeStalled, MediaUnreadable
from features.media.guard import OPEN_OPTIONS, media_url
from features.media.limits import Limits
from features.media.process import killed
from features.media.programs import ffprobe_path

#: seconds that ffprobe may take
TIMEOUT = 60.0

#: packets that are decoded until there is a picture: the first; else so many that a stream which
#: begins between two key frames comes to the next (our choice)
_PACKETS = (1, 1000)

#: degrees within which ffmpeg takes a rotation for a quarter turn
_QUARTER_TURN_TOLERANCE = 1.0

_ENTRIES = "stream_side_data:frame=width,height,pix_fmt:frame_side_data"


@dataclass(frozen=True)
class Shown:
    """How a stream's pictures are shown.

    Attributes:
        width, height: pixels after cropping and rotation; a pixel aspect isn't applied.
        rotation: degrees counter-clockwise by which they are turned.
    """

    width: int
    height: int
    rotation: float


def shown(path: str, index: int, width: int, height: int) -> Shown:
    """How ffmpeg shows the first picture of stream ``index``.

    ``width`` and ``height`` are the codec's by the headers. They stand where no picture can be
    decoded (which decoding tells later), or where they are over the default limit of pixels.

    Raises:
        MediaUnreadable: ffprobe can't read the file.
        DecodeStalled, DecoderKilled: it gave nothing for too long; somebody ended it.
    """
    if width * height > Limits.pixels:
        return Shown(width, height, 0.0)
    answer: Mapping[str, Any] = {}
    for packets in _PACKETS:
        answer = _ask(path, index, packets)
        if answer.get("frames"):
            break
    frame: Mapping[str, Any] = next(iter(answer.get("frames", [])), {})
    stream: Mapping[str, Any] = next(iter(answer.get("streams", [])), {})
    size = int(frame.get("width", width)), int(frame.get("height", height))
    size = _cropped(size, _side_data(stream, "crop_top"), frame.get("pix_fmt"))
    # A decoder hands the container's matrix on with each picture, unless the stream has its own.
    turn = _side_data(frame, "rotation") or _side_data(stream, "rotation")
    rotation = float(turn.get("rotation", 0.0))
    if abs(abs(rotation) % 180 - 90) < _QUARTER_TURN_TOLERANCE:
        size = size[::-1]
    return Shown(*size, rotation)


def _ask(path: str, index: int, packets: int) -> Mapping[str, Any]:
    options = {
        "threads": "1",
        "select_streams": str(index),
        "read_intervals": f"%+#{packets}",
        "show_entries": _ENTRIES,
        "of": "json",
        **OPEN_OPTIONS,
    }
    arguments = [part for name, value in options.items() for part in (f"-{name}", value)]
    command = [ffprobe_path(), "-hide_banner", *arguments, media_url(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DecodeStalled(
            f"{path!r}: ffprobe wasn't done with its first picture after {TIMEOUT:g} s; "
            "look whether the file plays, and whether its disk or share answers"
        ) from error
    log = done.stderr.decode("utf-8", "replace")[-4000:]
    if killed(done.returncode):
        raise DecoderKilled(
            f"{path!r}: ffprobe was ended from outside, as the system does it when memory runs "
            "out; with fewer workers each has more",
            log=log,
        )
    if done.returncode:
        raise MediaUnreadable(
            f"{path!r}: ffprobe can't read its headers; convert it, or take it out of the corpus",
            log=log,
        )
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def _side_data(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The first side data of a stream or picture that says ``key``."""
    return next((side for side in entry.get("side_data_list", []) if key in side), {})


def _cropped(
    size: tuple[int, int], crop: Mapping[str, Any], pixel_format: str | None
) -> tuple[int, int]:
    """What the container's cropping (MP4 ``clap``, Matroska ``PixelCrop``) leaves.

    As ffmpeg's crop filter, down to whole samples of colour.
    """
    if not crop:
        return size
    across = down = 1
    if pixel_format is not None:
        colour = av.VideoFormat(pixel_format)
        across, down = 16 // colour.chroma_width(16), 16 // colour.chroma_height(16)
    width = size[0] - int(crop["crop_left"]) - int(crop["crop_right"])
    height = size[1] - int(crop["crop_top"]) - int(crop["crop_bottom"])
    return width // across * across, height // down * down
