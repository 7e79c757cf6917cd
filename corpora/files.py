"""What several adapters need: CSV rows that know their line, and which media aren't there."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from corpora.errors import BadTable, SourceMissing
from corpora.manifest import ClipEntry
from features.spelling import shortened

if TYPE_CHECKING:
    from _csv import Reader


@dataclass(frozen=True)
class Row:
    """One row of a CSV; ``place`` is its file and line, for messages."""

    place: str
    cells: Mapping[str, str]


def csv_reader(file: IO[str], *, strict: bool = False) -> Reader:
    """Rows of a CSV whose header tells by what its cells are separated: comma, semicolon or tab.

    Args:
        file: opened with ``newline=""``; read from its beginning.
        strict: wrong quotes are an error.
    """
    return csv.reader(file, delimiter=separator(file), strict=strict)


def separator(file: IO[str]) -> str:
    """What separates the cells of a CSV's header; the file is at its beginning then."""
    head = file.readline()
    file.seek(0)
    return max(",;\t", key=head.count)


def csv_header(path: Path) -> list[str]:
    """The names of a CSV's columns; none if it is no text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [name.strip() for name in next(csv_reader(file), [])]
    except (UnicodeDecodeError, csv.Error):
        return []


def csv_rows(path: Path, needed: Sequence[str], *, ragged: bool = False) -> list[Row]:
    """All rows of a CSV with a header; see ``csv_lines``."""
    return list(csv_lines(path, needed, ragged=ragged))


def csv_lines(path: Path, needed: Sequence[str], *, ragged: bool = False) -> Iterator[Row]:
    """Rows of a CSV with a header, one after the other; empty lines are passed over.

    Args:
        needed: columns that must be there.
        ragged: rows of another length are kept, with the cells that they have.

    Raises:
        BadTable: a column is missing or there twice, a row has another number of cells, or no
            UTF-8; the message has file and line. SourceMissing: no such file.
    """
    lines = csv_cells(path)
    _, header = next(lines, (1, []))
    missing = [name for name in needed if name not in header]
    if missing:
        raise BadTable(
            f"{path}: line 1: no column {missing[0]!r}; the columns are "
            f"{', '.join(header) or 'none'}"
        )
    twice = [name for name in needed if header.count(name) > 1]
    if twice:
        raise BadTable(f"{path}: line 1: column {twice[0]!r} is there twice; remove one")
    for line, cells in lines:
        place = f"{path}: line {line}"
        if len(cells) != len(header) and not ragged:
            raise BadTable(f"{place}: {len(cells)} cells, the header has {len(header)}")
        yield Row(place, dict(zip(header, cells, strict=False)))


def csv_cells(path: Path, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The header of a CSV, then each line that says something: its number, and its cells.

    Args:
        strict: wrong quotes are an error.

    Raises:
        BadTable: wrong quotes, or no UTF-8; the message has file and line. SourceMissing: no such
            file.
    """
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv_reader(file, strict=strict)
            for cells in reader:
                header, line = not line, reader.line_num
                stripped = [cell.strip() for cell in cells]
                if header or any(stripped):
                    yield line, stripped
    except FileNotFoundError as error:
        raise SourceMissing(f"{path}: there is no such table; check the path") from error
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except csv.Error as error:
        raise BadTable(f"{path}: line {line + 1}: {error}; correct the quotes") from error


def not_utf8(path: Path) -> BadTable:
    """The error about a file that is no UTF-8, with the first line that isn't."""
    with path.open("rb") as file:
        for line, content in enumerate(file, 1):
            try:
                content.decode()
            except UnicodeDecodeError as error:
                return BadTable(
                    f"{path}: line {line}: not UTF-8 ({error.reason}); save it as UTF-8"
                )
    return BadTable(f"{path}: not UTF-8; save it as UTF-8")


def number(row: Row, column: str, low: float, high: float) -> float:
    """A cell as a number within [low, high].

    Raises:
        BadTable: it is none; the message has file and line.
    """
    text = row.cells.get(column, "")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadTable(
            f"{row.place}: {column} is {text!r}; it must be a number from {low:g} to {high:g}"
        )
    return value


def absent_files(clips: Iterable[ClipEntry]) -> list[str]:
    """Warnings that list the clips' media and assets that aren't there, if any."""
    every = list(clips)
    media = sorted({c.uri for c in every if not os.path.isfile(c.uri)})
    assets = sorted({a.uri for c in every for a in c.assets if not os.path.exists(a.uri)})
    said = [f"{len(media)} media files aren't there: {shortened(media)}"] if media else []
    if assets:
        said.append(f"{len(assets)} assets aren't there: {shortened(assets)}")
    return said
