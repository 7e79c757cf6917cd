"""The command line as a person runs it, and one store that many tests read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
SHORT = ("a02", "a04", "a07", "a10", "crema_d")

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Run affectstore; ``code`` is the expected exit code."""

    def run(*words: object, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, **env},
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def facts(cli: Cli) -> Callable[..., Any]:
    """Run affectstore with --json; the facts."""
    return lambda *words, code=0: json.loads(cli(*words, "--json", code=code).stdout)


@pytest.fixture(scope="session")
def short_media(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the short real clips."""
    folder = tmp_path_factory.mktemp("media")
    for path in sorted(media.rglob("*")):
        if path.is_file() and path.relative_to(media).as_posix().startswith(SHORT):
            target = folder / path.relative_to(media)
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(path)
    return folder


@pytest.fixture(scope="session")
def real_store(short_media: Path, tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    """The short real clips with all features, by the plain runner."""
    root = tmp_path_factory.mktemp("real") / "store"
    cli("ingest", short_media, "--store", root, "--corpus", "real")
    cli("extract", "--store", root, "--features", "all", "--no-prefect")
    return root
