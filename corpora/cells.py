"""Cells of a user's table: which are empty, and what a column of labels holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from corpora.errors import BadTable
from corpora.manifest import Label

#: cells that say that there is no value, in lower case
NOTHING = frozenset({"", "na", "n/a", "nan", "none", "null"})

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
#: 007 is a name, and so is what has more digits than an int64 holds
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]{0,17})(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: what a person may have meant as a number, however it is written
_MEANT = re.compile(r"[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?")

Cell = str | int | float | None


@dataclass(frozen=True)
class Row:
    """One row, and where to find it: ``line 7`` of a CSV, ``row 7`` of a Parquet file."""

    place: str
    cells: Mapping[str, Cell]


def given(cell: Cell) -> TypeGuard[str | int | float]:
    """True unless the cell is empty or says that there is no value; NaN is none."""
    return cell is not None and cell == cell and str(cell).lower() not in NOTHING


def text(cell: Cell) -> str | None:
    """Text as it stands; only an empty cell is none, for a subject may be called NA."""
    if cell is None or cell == "" or cell != cell:
        return None
    # Parquet writers turn whole numbers into floats where a column has gaps
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell) if whole else cell)


def label_reader(table: object, name: str, rows: Sequence[Row]) -> Callable[[Cell], Label]:
    """What turns the cells of one label column into values: one type for the whole column.

    Raises:
        BadTable: a number is infinite or beyond what a float holds; with the line.
    """
    held = [row for row in rows if given(row.cells[name])]
    cells = [row.cells[name] for row in held]
    if all(isinstance(c, int) or (isinstance(c, str) and _INTEGER.fullmatch(c)) for c in cells):
        kind: type[int] | type[float] | type[str] = int
    elif all(not isinstance(c, str) or _NUMBER.fullmatch(c) for c in cells):
        kind = float
        for row in held:
            if math.isinf(float(row.cells[name] or 0)):
                raise BadTable(
                    f"{table}: {row.place}: {name} is {row.cells[name]}, which is infinite or too "
                    "large for a float; correct it or leave the cell empty"
                )
    else:
        kind = str
    return lambda cell: kind(cell) if given(cell) else None


def comma_warning(name: str, rows: Sequence[Row]) -> str | None:
    """A line about a column whose numbers, or some of them, are written with commas, or None."""
    held = [(row.place, str(row.cells[name])) for row in rows if given(row.cells[name])]
    commas = [(place, x) for place, x in held if "," in x]
    if not commas or not all(_MEANT.fullmatch(x) for _, x in held):
        return None
    place, x = commas[0]
    return f"column {name} has decimal commas and is text; write {x!r} ({place}) with a point"


def mixed_warning(name: str, rows: Sequence[Row]) -> str | None:
    """A line about a label column that is text because of a few cells that are no numbers, or
    None: half of the cells or more look like numbers."""
    held = [(row.place, str(row.cells[name])) for row in rows if given(row.cells[name])]
    odd = [(place, x) for place, x in held if not _MEANT.fullmatch(x)]
    if not odd or 2 * len(odd) > len(held):
        return None
    place, x = odd[0]
    which = "is no number" if len(odd) == 1 else f"and {len(odd) - 1} more cells are no numbers"
    return (
        f"column {name} is text, though {len(held) - len(odd)} of its {len(held)} cells are "
        f"numbers: {x!r} ({place}) {which}; correct or empty them to learn from numbers"
    )
