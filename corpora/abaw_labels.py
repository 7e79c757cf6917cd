"""Annotation files of the ABAW challenges: valence and arousal, expressions, action units."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpora.errors import BadLabels
from corpora.files import not_utf8
from corpora.manifest import FrameLabels

#: what an annotation holds where nobody could tell: both values of VA, or one of the others
UNKNOWN = {"va": -5.0, "expr": -1.0, "au": -1.0}
VA = ("valence", "arousal")
#: what the numbers of label ``expression`` mean, as every ABAW challenge counts; the first had
#: seven
EXPRESSIONS = (
    *("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
    "Other",
)


def read_labels(path: Path, task: str) -> tuple[list[FrameLabels], int]:
    """The labels of one file of the task, and how many rows hold values that can't be.

    A header alone, as test sets have, gives no labels; nor does an empty file.

    Args:
        task: ``va``, ``expr`` or ``au``.

    Raises:
        BadLabels: the header is of another task, or a row isn't numbers; with the line.
        BadTable: it is no UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return [], 0
    names = _names(lines[0].split(","), task, f"{path}: line 1")
    if len(lines) == 1:
        return [], 0
    width = 1 if task == "expr" else len(names)
    values = np.empty((len(lines) - 1, width))
    for i, line in enumerate(lines[1:]):
        cells = line.split(",")
        try:
            values[i] = [float(cell) for cell in cells]
            wrong = len(cells) != width
        except ValueError:
            wrong = True
        if wrong:
            raise BadLabels(
                f"{path}: line {i + 2}: {line!r} must be {width} number{'s' * (width > 1)}"
            )
    return _labels(values, task, names)


def _names(header: list[str], task: str, place: str) -> list[str]:
    """What the header's columns, or a file's expressions, are called, in the header's order.

    Raises:
        BadLabels: the header is of another task, or names something twice.
    """
    names = [_name(cell, task) for cell in header]
    fits = {
        "va": set(names) == set(VA),
        "expr": set(names) <= set(EXPRESSIONS),
        "au": all(re.fullmatch(r"AU\d+", name) for name in names),
    }
    said = ",".join(name.strip() for name in header)
    if not names or not fits[task]:
        raise BadLabels(
            f"{place}: the header {said or '(empty)'!r} isn't of {task.upper()}"
            f"{_strange(names, task)}; move the file to the folder of its task, or away"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadLabels(f"{place}: the header names {twice[0]} twice: {said!r}; correct the file")
    return names


def _name(cell: str, task: str) -> str:
    """A name of the header as we write it; capitals and zeros in front (AU01) are free."""
    plain = cell.strip().lower()
    if task == "expr":
        return plain.capitalize()
    return re.sub(r"^au0*(?=\d)", "AU", plain) if task == "au" else plain


def _strange(names: list[str], task: str) -> str:
    """What keeps a header that begins as one of expressions from being one."""
    unknown = [name for name in names if name not in EXPRESSIONS]
    if task != "expr" or len(unknown) >= len(names):
        return ""
    return f" ({unknown[0]!r} is none of {', '.join(EXPRESSIONS)})"


def _labels(
    values: NDArray[np.float64], task: str, names: list[str]
) -> tuple[list[FrameLabels], int]:
    unknown = (values == UNKNOWN[task]).any(1)
    if task == "va":
        possible = (np.abs(values) <= 1).all(1)
    elif task == "expr":
        possible = np.isin(values, np.arange(len(names))).all(1)
    else:
        possible = np.isin(values, (0, 1)).all(1)
    valid = possible & ~unknown
    strange = ~possible & ~unknown
    made = []
    if task == "expr":
        places = np.array([EXPRESSIONS.index(name) for name in names], np.int8)
        classes = np.where(valid, places[np.where(valid, values[:, 0], 0).astype(int)], 0)
        words = ", ".join(f"{i} {word}" for i, word in enumerate(EXPRESSIONS) if word in names)
        made.append(FrameLabels("expression", classes.astype(np.int8), valid, "class", words))
    for i, name in enumerate(names if task != "expr" else ()):
        if task == "va":
            column = np.where(valid, values[:, i], np.nan).astype(np.float32)
            units, what = "-1..1", f"{name} of the ABAW challenge"
        else:
            column = np.where(valid, values[:, i], 0).astype(np.int8)
            units, what = "0 or 1", f"{name} is seen"
        made.append(FrameLabels(name, column, valid, units, what))
    if strange.any():
        name, what = f"{task}_out_of_range", f"the annotation of {task.upper()} can't be"
        every = np.ones(len(strange), bool)
        made.append(FrameLabels(name, strange.astype(np.int8), every, "0 or 1", what))
    return made, int(strange.sum())
