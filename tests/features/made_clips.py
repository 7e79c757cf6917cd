"""Small clips that tests make for themselves with the ffmpeg in use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.media.media import Media
from features.media.programs import ffmpeg_path
from features.media.video import FrameBatch

PICTURE = "testsrc2=size=64x48:rate=10"
TONE = "sine=frequency=440:sample_rate=44100"


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg with plain arguments; its messages are shown if it fails."""
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def make_clip(
    path: Path, *options: str, seconds: float = 1.0, sound: bool = True, picture: str = PICTURE
) -> Path:
    """H.264 test pictures at 10 fps, 64 x 48, with a tone in AAC."""
    inputs = ["-f", "lavfi", "-i", picture]
    if sound:
        inputs += ["-f", "lavfi", "-i", TONE]
    ffmpeg(
        *inputs, "-t", str(seconds), "-c:v", "libx264", "-pix_fmt", "yuv420p", *options, str(path)
    )
    return path


def times_of(media: Media) -> NDArray[np.float64]:
    """All of a clip's frame times."""
    return np.concatenate([b.times for b in media.video(32, pixels=False)])


def frames_of(media: Media, batch: int = 32) -> FrameBatch:
    """A short clip as one batch."""
    batches = list(media.video(batch))
    return FrameBatch(
        0,
        np.concatenate([b.times for b in batches]),
        np.concatenate([b.frames for b in batches if b.frames is not None]),
    )
