"""Which version of our decoding the ffmpeg in use stands for."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from features.errors import MediaError, ToolMissing
from features.media.programs import SETTING, ffmpeg_path, ffmpeg_version, ffprobe_path
from features.media.reference import GOLDEN, decoded_hashes

__all__ = ["DECODE_VERSION", "decode_tool", "ffmpeg_path", "ffprobe_path", "tool_versions"]

#: part of the keys of whatever is computed from decoded frames or samples; bumped when the
#: golden hashes in reference.py change
DECODE_VERSION = 1


def tool_versions() -> dict[str, str]:
    """What is recorded with each result: the first line that the tool says of itself."""
    return {"ffmpeg": ffmpeg_version()}


def decode_tool() -> int | str:
    """What stands for the decoder in keys: DECODE_VERSION, if ffmpeg decodes as it should.

    The ffmpeg in use decodes a small built-in clip (H.264 and AAC). If frames, times and samples
    hash to the golden values, all is well; otherwise its results get a key of their own, made of
    the program's sha256.
    """
    path = ffmpeg_path()
    return _decode_tool(path, os.stat(path).st_mtime_ns)


@cache
def _decode_tool(path: str, mtime_ns: int) -> int | str:
    try:
        if decoded_hashes() == GOLDEN:
            return DECODE_VERSION
    except MediaError as error:
        raise ToolMissing(
            f"{path} can't decode H.264 and AAC ({error}); install an ffmpeg that does, "
            f"or unset {SETTING}",
            log=error.log,
        ) from error
    with Path(path).open("rb") as file:
        return "ffmpeg-" + hashlib.file_digest(file, "sha256").hexdigest()[:16]
