"""The adapter ``demo``: a folder of made clips; makes it where there is none."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.demo.make import LABELS, TABLE, is_demo, make_demo
from corpora.errors import BadLabels
from corpora.manifest import FrameLabels, Manifest
from corpora.table import read_table

#: what the made clips are labelled with, per frame
NAMES = ("arousal", "valence")


def read_demo(source: str | Path, corpus: str) -> Manifest:
    """The clips of a demo folder with their labels per clip and per frame.

    Raises:
        ForeignFolder: the folder holds something that isn't a demo.
        BadLabels: a file of labels is missing or can't be read.
    """
    folder = Path(source)
    if not is_demo(folder):
        make_demo(folder)
    manifest = read_table(folder / TABLE, corpus)
    labels = {c.clip: _frame_labels(folder / f"{c.clip}{LABELS}") for c in manifest.clips}
    return replace(manifest, frame_labels=labels)


def _frame_labels(path: Path) -> tuple[FrameLabels, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {n: np.array([float(row[n]) for row in rows], np.float32) for n in NAMES}
    except FileNotFoundError as error:
        raise BadLabels(f"{path}: missing; make the demo again: affectstore demo") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadLabels(
            f"{path}: no table of {' and '.join(NAMES)} per frame ({error}); make the demo again"
        ) from error
    return tuple(
        FrameLabels(
            name,
            values,
            np.isfinite(values),
            units="-1..1",
            description=f"{name} that the made clip was drawn with",
        )
        for name, values in columns.items()
    )
