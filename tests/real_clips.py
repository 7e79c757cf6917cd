"""What is known of the real clips, and how the command line is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from flows.cli import main; main()"]

#: decoded frames per clip, as PyAV and ffmpeg count them
FRAMES = {
    "a01_woman_emotions_silent_audio": 472,
    "a02_single_face_mp3_in_mp4": 72,
    "a03_face_then_noface_vfr_hevc": 169,
    "a04_no_face": 95,
    "a05_speech_two_people_12fps": 105,
    "a06_stage_dark_profile_many_faces": 275,
    "a07_three_people_no_audio": 30,
    "a08_closeup_no_audio_720x576": 90,
    "a09_man_talking_portrait_hevc": 502,
    "a10_man_talking_vfr": 135,
    "a11_grid_bbaf2n": 75,
}
#: what the tests of the machinery extract; others are tested with their extractors
BASIC = "timeline,audio_16k,mfcc_mel,faces,face_track,face_112,face_112x96"
SHORT = ("a02", "a04", "a07", "a10", "crema_d")
#: the shortest of them
FEW = ("a02", "a07", "crema_d")

#: few frames, quickly searched for faces: where the same work is done again and again
QUICK = ("a02", "crema_d")

Cli = Callable[..., subprocess.CompletedProcess[str]]
Facts = Callable[..., Any]


def linked(media: Path, folder: Path, starts: tuple[str, ...]) -> Path:
    """A folder with links to those of the clips whose names begin so."""
    for path in sorted(media.rglob("*")):
        name = path.relative_to(media)
        if path.is_file() and name.as_posix().startswith(starts):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(path)
    return folder
