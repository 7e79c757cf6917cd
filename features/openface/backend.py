"""The one small interface of the three ways to run OpenFace."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from features.openface.process import Finished, Space
from features.openface.settings import Settings, read_settings

#: one thread of arithmetic per clip, since clips run side by side; numbers with a point
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C"}
#: name of what is written: ``clip.csv`` and ``clip_aligned/``
OUTPUT = "clip"
#: folders of a workplace: of the file that is read, and of the folders that are written
INPUTS, OUTPUTS = "in", "out"


@dataclass(frozen=True)
class Call:
    """One run of one of OpenFace's programs on one file.

    Attributes:
        program: its name, such as ``FeatureExtraction``.
        media: absolute path of the file; read, never written.
        place: folder of our own, for this and for further calls; has ``in`` and ``out``.
        out: empty folder below ``place/out`` for what the program writes.
        options: what it computes.
        seconds: time limit.
        memory: limit, as docker writes it.
        space: limit on what it writes, bytes.
    """

    program: str
    media: Path
    place: Path
    out: Path
    options: tuple[str, ...]
    seconds: float
    memory: str
    space: float

    @property
    def inside(self) -> str:
        """The file's name for the program: any name could mean something to it."""
        return f"clip{self.media.suffix}"

    @property
    def limit(self) -> Space:
        """The limit on what it writes."""
        return Space(self.out, self.space)


class Backend(Protocol):
    """A way to run OpenFace."""

    #: what may have killed a program that was killed, and what to do
    killer: str

    def key(self) -> str:
        """What stands for the program in extractor keys; needs no engine where it can be told."""

    def unavailable(self) -> str | None:
        """Why it can't run here, with the remedy; or None."""

    def run(self, call: Call) -> Finished:
        """Run it; afterwards nothing of it runs any more."""

    def close(self) -> None:
        """Let go of what was kept for further calls."""


def arguments(call: Call, media: str, out: str) -> list[str]:
    """The program's arguments; ``media`` and ``out`` are paths as it sees them."""
    return ["-f", media, "-out_dir", out, "-of", OUTPUT, *call.options]


def mount(source: Path, target: str, *flags: str) -> str:
    """A value for ``--mount``, which is read as a line of CSV: a path may hold commas."""
    line = io.StringIO()
    fields = ["type=bind", f"src={source}", f"dst={target}", *flags]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


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
