"""Reads OpenFace's CSV files, of any of its versions, into the 714 columns.

Layouts that occur: 714 columns (2.x), 711 (2.0: without face_id and gaze angles), 709 (as others
pass it on: without the five bookkeeping columns), 431 (1.x: without face_id, gaze angles and eye
landmarks). Columns are found by name, so that their number and order don't matter.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.openface.errors import BadCsv
from features.openface_columns import COLUMNS_714, GROUPS

_PLACE = {name: i for i, name in enumerate(COLUMNS_714)}
#: how compilers spell what is no number; numpy reads nan and inf by itself
_NO_NUMBER = ("nan(", "#ind", "#qnan", "#snan")


@dataclass(frozen=True, eq=False)
class Table:
    """One CSV file.

    Attributes:
        values: float32 ``(rows, 714)`` as OpenFace wrote them; NaN where a column is missing.
        frame: int64 ``(rows,)`` the row's frame, from 0.
        numbered: ``frame`` is what the file says; else the rows' order, since it says nothing.
        layout: how many of the file's columns are OpenFace's.
        missing: the columns that it lacks.
    """

    values: NDArray[np.float32]
    frame: NDArray[np.int64]
    numbered: bool
    layout: int
    missing: tuple[str, ...]

    def column(self, name: str) -> NDArray[np.float32]:
        """One column, float32 ``(rows,)``."""
        return self.values[:, _PLACE[name]]

    def valid(self, min_confidence: float) -> NDArray[np.bool_]:
        """Rows with a face that OpenFace is sure of: success 1 and a sufficient confidence.

        Compared in float32, as stored. Of a file without these two columns the rows that hold
        anything but zeros and NaN: all that can be told.
        """
        known = [c for c in ("success", "confidence") if c not in self.missing]
        if not known:
            body = self.values[:, GROUPS["bookkeeping"][1] :]
            said: NDArray[np.bool_] = (np.nan_to_num(body) != 0).any(1)
            return said
        fit = np.ones(len(self.values), bool)
        if "success" in known:
            fit &= self.column("success") == 1
        if "confidence" in known:
            fit &= self.column("confidence") >= np.float32(min_confidence)
        return fit


def read_table(path: str | Path) -> Table:
    """The rows of a CSV file (``.csv`` or ``.csv.gz``), separated by ``","`` or ``", "``.

    Raises:
        BadCsv: it can't be read, stops in the middle of a row, or isn't OpenFace's.
    """
    name = Path(path).name
    try:
        raw = Path(path).read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise BadCsv(f"{name} can't be read ({error}); make it again with OpenFace") from error
    if not text.strip():
        raise BadCsv(f"{name} is empty; make it again with OpenFace")
    if not text.endswith("\n"):
        raise BadCsv(
            f"{name} stops in the middle of line {text.count(chr(10)) + 1}: OpenFace was cut "
            "off while it wrote; make it again"
        )
    lines = text.splitlines()
    columns = [column.strip() for column in lines[0].split(",")]
    _check_header(name, columns)
    body = [line for line in lines[1:] if line.strip()]
    _check_widths(name, body, len(columns))
    read = _numbers(name, body, columns)
    return _table(name, columns, read)


def _check_header(name: str, columns: list[str]) -> None:
    known = [c for c in columns if c in _PLACE]
    if len(set(known)) != len(known):
        twice = next(c for c in known if known.count(c) > 1)
        raise BadCsv(f"{name} has the column {twice} twice; make it again with OpenFace")
    present = set(known)
    whole = [
        g for g, (start, stop) in GROUPS.items() if present.issuperset(COLUMNS_714[start:stop])
    ]
    if not set(whole) - {"bookkeeping"}:
        raise BadCsv(
            f"{name} is no CSV of OpenFace 1.x or 2.x: its header starts with "
            f"{', '.join(columns[:4])!r} and holds no whole group of columns"
        )


def _check_widths(name: str, body: list[str], width: int) -> None:
    for number, line in enumerate(body, 2):
        found = line.count(",") + 1
        if found != width:
            raise BadCsv(
                f"{name}: line {number} has {found} values, the header {width} columns: the file "
                "was cut off or damaged; make it again with OpenFace"
            )


def _numbers(name: str, body: list[str], columns: list[str]) -> NDArray[np.float64]:
    """float64 ``(rows, columns)``; NaN where there is no number."""
    if not body:
        return np.zeros((0, len(columns)))
    wanted = [i for i, column in enumerate(columns) if column in _PLACE]
    read = np.full((len(body), len(columns)), np.nan)
    try:
        read[:, wanted] = np.loadtxt(body, delimiter=",", usecols=wanted, ndmin=2, comments=None)
        return read
    except ValueError:
        pass
    for row, line in enumerate(body):
        fields = line.split(",")
        for i in wanted:
            field = fields[i].strip()
            try:
                read[row, i] = float(field)
            except ValueError:
                if not any(sign in field.lower() for sign in _NO_NUMBER):
                    raise BadCsv(
                        f"{name}: line {row + 2}, column {columns[i]} holds {field!r}, which is "
                        "no number; make the file again with OpenFace"
                    ) from None
    return read


def _table(name: str, columns: list[str], read: NDArray[np.float64]) -> Table:
    places = [(i, _PLACE[c]) for i, c in enumerate(columns) if c in _PLACE]
    values = np.full((len(read), len(COLUMNS_714)), np.nan, np.float32)
    with np.errstate(over="ignore"):
        values[:, [to for _, to in places]] = read[:, [i for i, _ in places]].astype(np.float32)
    missing = tuple(c for c in COLUMNS_714 if c not in set(columns))
    if "frame" in missing:
        frame = np.arange(len(read))
        return Table(values, frame, False, len(places), missing)
    numbers = read[:, columns.index("frame")]
    if not np.array_equal(numbers, np.floor(numbers)) or (numbers < 0).any():
        raise BadCsv(f"{name}: the column frame holds no whole numbers; make it again")
    # 2.x counts from 1; a file with a frame 0 counts from there
    first = 0 if len(numbers) and numbers.min() == 0 else 1
    return Table(values, numbers.astype(np.int64) - first, True, len(places), missing)
