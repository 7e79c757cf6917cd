"""What the tests of OpenFace share: real output, and files made from it."""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import SHARED

REFERENCE = SHARED / "reference" / "openface"
#: clip -> rows of its reference, one per decoded frame
CLIPS = {
    "a02_single_face_mp3_in_mp4": 72,
    "a03_face_then_noface_vfr_hevc": 169,
    "a04_no_face": 95,
    "a05_speech_two_people_12fps": 105,
    "a10_man_talking_vfr": 135,
    "1001_DFA_ANG_XX": 67,
}


def reference(name: str) -> Path:
    """The real CSV of a clip."""
    return REFERENCE / f"{name}.csv.gz"


def cells(name: str) -> tuple[list[str], NDArray[np.float32]]:
    """Header and values by Python's own csv and float: an independent reading."""
    with gzip.open(reference(name), "rt", newline="") as file:
        header, *rows = list(csv.reader(file))
    return header, np.array([[float(v) for v in row] for row in rows]).astype(np.float32)


def text_of(name: str) -> str:
    """The real CSV as text."""
    return gzip.decompress(reference(name).read_bytes()).decode()


def kept(name: str, columns: list[str], separator: str = ",") -> str:
    """The real CSV with some columns only, as other versions of OpenFace lay it out."""
    header, *rows = [line.split(",") for line in text_of(name).splitlines()]
    index = [header.index(column) for column in columns]
    lines = [separator.join(row[i] for i in index) for row in [header, *rows]]
    return "\n".join(lines) + "\n"


def ends(pid: int, seconds: float = 5) -> bool:
    """Whether a process ends in time; a dead child that nobody has asked for has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
