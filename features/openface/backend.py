"""The one small interface of the three ways to run OpenFace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from features.openface.process import Finished
from features.openface.settings import Settings, read_settings

#: one thread of arithmetic per clip: clips run side by side
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Call:
    """One run of one of OpenFace's programs on one file.

    Attributes:
        program: its name, such as ``FeatureExtraction``.
        media: absolute path of the file; read, never written.
        out: empty folder for what it writes.
        log: file for what it prints, outside of ``out``.
        options: what it computes.
        seconds: time limit.
        memory: limit, as docker writes it.
    """

    program: str
    media: Path
    out: Path
    log: Path
    options: tuple[str, ...]
    seconds: float
    memory: str


class Backend(Protocol):
    """A way to run OpenFace."""

    def key(self) -> str:
        """What stands for the program in extractor keys; needs no engine where it can be told."""

    def unavailable(self) -> str | None:
        """Why it can't run here, with the remedy; or None."""

    def run(self, call: Call) -> Finished:
        """Run it; afterwards nothing of it runs any more."""


def arguments(call: Call, media: str, out: str) -> list[str]:
    """The program's arguments; ``media`` and ``out`` are paths as it sees them."""
    return ["-f", media, "-out_dir", out, "-of", OUTPUT, *call.options]


#: name of what is written: ``clip.csv`` and ``clip_aligned/``
OUTPUT = "clip"


def backend(settings: Settings | None = None) -> Backend:
    """The backend that the settings name."""
    from features.openface.apptainer import Apptainer
    from features.openface.binary import Binary
    from features.openface.docker import Docker

    found = settings or read_settings()
    if found.backend == "binary":
        return Binary(found)
    if found.backend == "apptainer":
        return Apptainer(found)
    return Docker(found)
