"""The adapter ``table``: a user's own CSV or Parquet file, one row per clip."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.cells import (
    Cell,
    Row,
    comma_warning,
    given,
    label_reader,
    mixed_warning,
    text,
)
from corpora.errors import BadTable, DuplicateClip, EmptyCorpus, SourceMissing
from corpora.files import absent_files, csv_cells
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
#: ``label.<name>``, ``attr.<name>``, ``asset.<role>``
PREFIXES = ("label", "attr", "asset")
#: how pandas calls the numbers of rows that it saves along
_INDEX = re.compile(r"Unnamed: [0-9.]+|__index_level_[0-9]+__")
_SECONDS = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

#: splits that recipes look for
SPLITS = ("train", "val", "test")

#: other words for them, in lower case
SPELLINGS = {
    **{split: split for split in SPLITS},
    **dict.fromkeys(("training", "learn", "tr"), "train"),
    **dict.fromkeys(("valid", "validation", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
}


def read_table(source: str | Path, corpus: str) -> Manifest:
    """A clip per row of a CSV, TSV or Parquet file.

    Columns: ``clip_id`` and ``path`` (relative to the table's folder); optionally ``start``,
    ``stop`` (or ``end``; seconds), ``subject``, ``split``; ``attr.<name>`` and ``asset.<role>``;
    every other column that has a name is a label, ``label.<name>`` or ``<name>``. Label cells are
    integers, else floats, else text, column by column; numbers with leading zeros (007) are text;
    empty ones and NA, NaN, none, null are unlabelled. Files that aren't there are kept and listed
    in the warnings, and so is a column that a few cells make text.

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
    readers = {name: label_reader(table, name, rows) for name in labels}
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
        corpus, tuple(clips), warnings=(*absent_files(clips), *_odd(columns, labels, rows, clips))
    )


def _csv(table: Path) -> tuple[list[str], list[Row]]:
    lines = csv_cells(table, strict=True)
    columns = [_known(name) for name in next(lines, (1, []))[1]]
    rows = []
    for line, cells in lines:
        if len(cells) != len(columns):
            raise BadTable(
                f"{table}: line {line}: {len(cells)} cells, but the header has {len(columns)}; "
                "put cells with separators into double quotes"
            )
        rows.append(Row(f"line {line}", dict(zip(columns, cells, strict=True))))
    return columns, rows


def _parquet(table: Path) -> tuple[list[str], list[Row]]:
    try:
        content = pq.read_table(table)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadTable(f"{table}: no Parquet file ({str(error).splitlines()[0]})") from error
    columns = [_known(name) for name in content.column_names]
    named = [name for name in columns if name]
    if len(set(named)) == len(named):
        values = (column.to_pylist() for column in content.columns)
        cells = zip(*values, strict=True)
        rows = [
            Row(f"row {i}", dict(zip(columns, map(_cell, row), strict=True)))
            for i, row in enumerate(cells, 1)
        ]
    else:
        rows = []
    return columns, rows


def _known(name: str) -> str:
    """A column's name, in lower case where it, or what stands before its point, has a meaning."""
    plain = "" if _INDEX.fullmatch(name.strip()) else name.strip()
    prefix, point, rest = plain.partition(".")
    if point and prefix.lower() in PREFIXES:
        return f"{prefix.lower()}.{rest}"
    return plain.lower() if plain.lower() in COLUMNS else plain


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, float):
        return value
    # what no int64 holds is a name
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    return str(value).strip()


def _check_columns(table: Path, columns: Sequence[str]) -> None:
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise BadTable(f"{table}: line 1: column {twice[0]!r} stands there twice; remove one")
    if {"stop", "end"} <= set(columns):
        raise BadTable(f"{table}: line 1: both stop and end are given; keep one of them")
    for name in columns:
        kind, _, rest = name.partition(".")
        if kind in PREFIXES and name == f"{kind}.":
            raise BadTable(f"{table}: line 1: column {name!r} names no {kind}; name or remove it")
        if kind == "label" and rest in columns and rest not in COLUMNS:
            raise BadTable(
                f"{table}: line 1: columns {name!r} and {rest!r} are both label {rest}; rename or "
                "remove one"
            )
    for name in ("clip_id", "path"):
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            hint = f"; rename {close[0]!r}?" if close else ""
            raise BadTable(
                f"{table}: line 1: no column {name!r}; the columns are "
                f"{', '.join(map(repr, columns)) or 'none'}{hint}"
            )


def _entry(table: Path, row: Row, readers: Mapping[str, Callable[[Cell], Label]]) -> ClipEntry:
    cells = row.cells
    clip, path = text(cells["clip_id"]) or "", text(cells["path"])
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
        subject=text(cells.get("subject")),
        split=text(cells.get("split")),
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
    return [(name.removeprefix(prefix), text(cells[name])) for name in names]


def _seconds(table: Path, row: Row, name: str) -> float | None:
    cell = row.cells.get(name)
    if not given(cell):
        return None
    if not isinstance(cell, str):
        return float(cell)
    if not _SECONDS.fullmatch(cell):
        pointed = cell.replace(",", ".")
        how = f"{pointed}, with a point" if _SECONDS.fullmatch(pointed) else "it like 12.34"
        raise BadTable(
            f"{table}: {row.place}: {name} is {cell!r}, which is no number of seconds; write {how}"
        )
    return float(cell)


def _odd(
    columns: Sequence[str],
    labels: Sequence[str],
    rows: Sequence[Row],
    clips: Sequence[ClipEntry],
) -> list[str]:
    """What is read, but hardly as it was meant."""
    said: list[str | None] = []
    if "" in columns:
        said.append("columns without a name were passed over")
    said += [comma_warning(name, rows) for name in columns]
    said += [mixed_warning(name, rows) for name in labels]
    splits = sorted({c.split for c in clips if c.split} - {*SPLITS})
    meant = [f"{s} ({SPELLINGS[s.lower()]}?)" for s in splits if s.lower() in SPELLINGS]
    if meant:
        said.append(
            f"recipes look for the splits {', '.join(SPLITS)}, in these words: {', '.join(meant)}"
        )
    return [line for line in said if line]
