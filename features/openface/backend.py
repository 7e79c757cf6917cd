"""The one small interface of the three ways to run OpenFace."""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from features.openface.process import Finished, Space
from features.openface.settings import Settings, read_settings

#: one thread of arithmetic per clip, since clips run side by side; numbers with a point
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C"}
#: characters of a file's name that a program gets to see
NAME = 100
#: label of every container of ours, for a look with ``docker ps --filter label=…``
LABEL = "affectstore.openface"
#: processes and threads in one container
PIDS = 256
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
    def name(self) -> str:
        """The file's name without its ending, in letters and digits that mean nothing to any
        program; of what is written, too: ``NAME.csv`` and ``NAME_aligned/``."""
        return _plain(self.media.stem)[:NAME].lstrip("-") or "clip"

    @property
    def inside(self) -> str:
        """The file's name for the program."""
        return f"{self.name}.{_plain(self.media.suffix[1:])}"

    @property
    def limit(self) -> Space:
        """The limit on what it writes."""
        return Space(self.out, self.space)


def container_name() -> str:
    """A name for a container of ours that no other has."""
    return f"affectstore-openface-{os.getpid()}-{secrets.token_hex(4)}"


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
    return ["-f", media, "-out_dir", out, "-of", call.name, *call.options]


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


def confined(name: str, memory: str) -> list[str]:
    """Words of ``docker run``: a container of this name that may do next to nothing."""
    return [
        *("--rm", "--name", name, "--label", LABEL, "--pull", "never", "--network", "none"),
        *("--user", f"{os.getuid()}:{os.getgid()}", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--ulimit", "core=0"),
        *("--memory", memory, "--memory-swap", memory, "--pids-limit", str(PIDS)),
        *("--read-only", "--tmpfs", "/tmp:size=64m,mode=1777", "--log-driver", "none"),
        *(word for k, v in ENVIRONMENT.items() for word in ("--env", f"{k}={v}")),
    ]


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
