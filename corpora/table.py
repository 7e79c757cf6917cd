"""The adapter ``table``: a user's own CSV or Parquet file, one row per clip."""

from __future__ import annotations

import csv
import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.errors import BadTable, DuplicateClip, EmptyCorpus, SourceMissing
from corpora.files import absent_files, csv_reader
from corpora.manifest import (
    Asset,
    ClipEntry,
    Label,
    Manifest,
    cut_problem,
    id_problem,
)

SUFFIXES = (".csv", ".tsv", ".parquet")
#: what spreadsheets save by themselves
SHEETS = (".xlsx", ".xls", ".ods")
#: columns with a meaning; ``end`` is read as ``stop``
COLUMNS = ("clip_id", "path", "start", "stop", "end", "subject", "split")
#: cells that say that there is no value, in lower case
NOTHING = frozenset({"", "na", "n/a", "nan", "none", "null"})

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_SECONDS = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: 007 is a name, and so is what has more digits than an int64 holds
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]{0,17})(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)?")

#: splits that recipes look for
SPLITS = ("train", "val", "test")

Cell = str | int | float | None


@dataclass(frozen=True)
class _Row:
    """One row, and where to find it: ``line 7`` of a CSV, ``row 7`` of a Parquet file."""

    place: str
    cells: Mapping[str, Cell]


def read_table(source: str | Path, corpus: str) -> Manifest:
    """A clip per row of a CSV, TSV or Parquet file.

    Columns: ``clip_id`` and ``path`` (relative to the table's folder); optionally ``start``,
    ``stop`` (or ``end``; seconds), ``subject``, ``split``; ``attr.<name>`` and ``asset.<role>``;
    every other column that has a name is a label. Label cells are integers, else floats, else
    text, column by column; numbers with leading zeros (007) are text; empty ones and NA, NaN,
    none, null are unlabelled. Files that aren't there are kept and listed in the warnings.

    Raises:
        SourceMissing: there is no such file.
        BadTable: a column is missing, or a cell can't be read; the message has file and line.
        DuplicateClip: two rows have one ``clip_id``.
        EmptyCorpus: the table has no rows.
    """
    table = Path(os.path.abspath(source))
    if not table.is_file():
        raise SourceMissing(f"{table}: there is no such table; check the path")
    if table.suffix.lower() in SHEETS:
        raise BadTable(f"{table}: spreadsheets aren't read; save it as CSV (UTF-8)")
    columns, rows = (_parquet if table.suffix.lower() == ".parquet" else _csv)(table)
    _check_columns(table, columns)
    if not rows:
        raise EmptyCorpus(f"{table}: the table has no rows; add one per clip")
    named = [c for c in columns if c and c not in COLUMNS]
    labels = [c for c in named if not c.startswith(("attr.", "asset."))]
    readers = {name: _label_reader([r.cells[name] for r in rows]) for name in labels}
    clips, places = [], dict[str, str]()
    for row in rows:
        entry = _entry(table, row, readers)
        if entry.clip in places:
            raise DuplicateClip(
                f"{table}: {row.place}: clip_id {entry.clip!r} is already used in "
                f"{places[entry.clip]}; give each clip its own"
            )
        places[entry.clip] = row.place
        clips.append(entry)
    return Manifest(
        corpus, tuple(clips), warnings=(*absent_files(clips), *_odd(columns, rows, clips))
    )


def _csv(table: Path) -> tuple[list[str], list[_Row]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv_reader(file, strict=True)
            columns = [_known(name) for name in next(reader, [])]
            rows = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(columns):
                    raise BadTable(
                        f"{table}: line {reader.line_num}: {len(cells)} cells, but the header "
                        f"has {len(columns)}; put cells with separators into double quotes"
                    )
                stripped = (cell.strip() for cell in cells)
                cells_of = dict(zip(columns, stripped, strict=True))
                rows.append(_Row(f"line {reader.line_num}", cells_of))
            return columns, rows
    except UnicodeDecodeError as error:
        raise BadTable(f"{table}: not UTF-8 ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise BadTable(f"{table}: line {reader.line_num}: {error}; correct the quotes") from error


def _parquet(table: Path) -> tuple[list[str], list[_Row]]:
    try:
        content = pq.read_table(table)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadTable(f"{table}: no Parquet file ({str(error).splitlines()[0]})") from error
    columns = [_known(name) for name in content.column_names]
    if len(set(columns)) == len(columns):
        values = (column.to_pylist() for column in content.columns)
        cells = zip(*values, strict=True)
        rows = [
            _Row(f"row {i}", dict(zip(columns, map(_cell, row), strict=True)))
            for i, row in enumerate(cells, 1)
        ]
    else:
        rows = []
    return columns, rows


def _known(name: str) -> str:
    """A column's name, in lower case where it has a meaning."""
    plain = name.strip()
    return plain.lower() if plain.lower() in COLUMNS else plain


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, float):
        return value
    return int(value) if isinstance(value, int) else str(value).strip()


def _check_columns(table: Path, columns: Sequence[str]) -> None:
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise BadTable(f"{table}: line 1: column {twice[0]!r} stands there twice; remove one")
    if {"stop", "end"} <= set(columns):
        raise BadTable(f"{table}: line 1: both stop and end are given; keep one of them")
    for name in ("clip_id", "path"):
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            hint = f"; rename {close[0]!r}?" if close else ""
            raise BadTable(
                f"{table}: line 1: no column {name!r}; the columns are "
                f"{', '.join(map(repr, columns)) or 'none'}{hint}"
            )


def _entry(table: Path, row: _Row, readers: Mapping[str, Callable[[Cell], Label]]) -> ClipEntry:
    cells = row.cells
    clip, path = _text(cells["clip_id"]) or "", _text(cells["path"])
    start = _seconds(table, row, "start")
    stop = _seconds(table, row, "end" if "end" in cells else "stop")
    problem = id_problem(clip) or cut_problem(start, stop)
    if path is None:
        problem = "path is empty; give the clip's file"
    elif "://" in path:
        problem = f"path {path} is a URL; only files can be read, fetch it first"
    if problem or path is None:
        raise BadTable(f"{table}: {row.place}: clip_id {clip!r}: {problem}")
    return ClipEntry(
        clip=clip,
        uri=_absolute(table, path),
        start=start,
        stop=stop,
        subject=_text(cells.get("subject")),
        split=_text(cells.get("split")),
        attrs={k: v for k, v in _prefixed(cells, "attr.") if v is not None},
        assets=tuple(
            Asset(role, _absolute(table, v)) for role, v in _prefixed(cells, "asset.") if v
        ),
        labels={name.removeprefix("label."): read(cells[name]) for name, read in readers.items()},
    )


def _absolute(table: Path, path: str) -> str:
    """A cell's file; where none has that name, one as Windows or macOS would have written it."""
    plain = os.path.abspath(table.parent / path)
    if os.path.exists(plain):
        return plain
    slashed = path.replace("\\", "/")
    forms = (unicodedata.normalize(form, slashed) for form in ("NFC", "NFD"))
    others = (os.path.abspath(table.parent / form) for form in forms)
    return next((other for other in others if os.path.exists(other)), plain)


def _prefixed(cells: Mapping[str, Cell], prefix: str) -> list[tuple[str, str | None]]:
    names = sorted(name for name in cells if name.startswith(prefix))
    return [(name.removeprefix(prefix), _text(cells[name])) for name in names]


def _given(cell: Cell) -> TypeGuard[str | int | float]:
    """True unless the cell is empty or says that there is no value; NaN is none."""
    return cell is not None and cell == cell and str(cell).lower() not in NOTHING


def _text(cell: Cell) -> str | None:
    """Text as it stands; only an empty cell is none, for a subject may be called NA."""
    if cell is None or cell == "" or cell != cell:
        return None
    # Parquet writers turn whole numbers into floats where a column has gaps
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell) if whole else cell)


def _seconds(table: Path, row: _Row, name: str) -> float | None:
    cell = row.cells.get(name)
    if not _given(cell):
        return None
    if not isinstance(cell, str):
        return float(cell)
    if not _SECONDS.fullmatch(cell):
        raise BadTable(
            f"{table}: {row.place}: {name} is {cell!r}, which is no number of seconds; "
            "write it like 12.34"
        )
    return float(cell)


def _label_reader(cells: Sequence[Cell]) -> Callable[[Cell], Label]:
    """What turns the cells of one label column into values: one type for the whole column."""
    given = [cell for cell in cells if _given(cell)]
    if all(isinstance(c, int) or (isinstance(c, str) and _INTEGER.fullmatch(c)) for c in given):
        kind: type[int] | type[float] | type[str] = int
    elif all(not isinstance(c, str) or _NUMBER.fullmatch(c) for c in given):
        kind = float
    else:
        kind = str
    return lambda cell: kind(cell) if _given(cell) else None


def _odd(columns: Sequence[str], rows: Sequence[_Row], clips: Sequence[ClipEntry]) -> list[str]:
    """What is read, but hardly as it was meant."""
    said = []
    if "" in columns:
        said.append("columns without a name were passed over")
    for name in columns:
        texts = [str(row.cells[name]) for row in rows if _given(row.cells[name])]
        commas = any("," in text for text in texts)
        if commas and all(_DECIMAL_COMMA.fullmatch(text) for text in texts):
            said.append(
                f"column {name} has decimal commas and is text; write {texts[0]!r} with a point"
            )
    splits = sorted({c.split for c in clips if c.split and c.split.lower() in SPLITS} - {*SPLITS})
    if splits:
        said.append(
            f"splits are told apart by case, and recipes look for {', '.join(SPLITS)}: "
            f"{', '.join(splits)}"
        )
    return said
