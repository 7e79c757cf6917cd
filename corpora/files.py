"""What several adapters need: finding media by name, and CSV rows that know their line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import BadTable, SourceMissing
from corpora.folder import EXTENSIONS
from corpora.manifest import ClipEntry, shortened


@dataclass(frozen=True)
class Row:
    """One row of a CSV; ``place`` is its file and line, for messages."""

    place: str
    cells: Mapping[str, str]


def folder_of(source: str | Path) -> Path:
    """The source as an absolute folder.

    Raises:
        SourceMissing: there is no such folder.
    """
    root = Path(os.path.abspath(source))
    if not root.is_dir():
        raise SourceMissing(f"{root}: there is no such folder; give the dataset's own folder")
    return root


def videos_below(root: Path) -> Iterator[Path]:
    """All video files below a folder, in order of path; hidden ones are passed over."""
    for folder, names, files in os.walk(root, followlinks=True):
        names[:] = sorted(n for n in names if not n.startswith("."))
        for name in sorted(files):
            if name[0] != "." and os.path.splitext(name)[1][1:].lower() in EXTENSIONS:
                yield Path(folder, name)


def image_folders(root: Path) -> Iterator[Path]:
    """All folders below one that hold JPEG, PNG or BMP images, in order of path."""
    for folder, names, files in os.walk(root, followlinks=True):
        names[:] = sorted(n for n in names if not n.startswith("."))
        if any(f.lower().endswith((".jpg", ".jpeg", ".png", ".bmp")) for f in files):
            yield Path(folder)


def csv_rows(path: Path, needed: Sequence[str], *, ragged: bool = False) -> list[Row]:
    """Rows of a CSV with a header; empty lines are passed over.

    Args:
        needed: columns that must be there.
        ragged: rows of another length are kept, with the cells that they have.

    Raises:
        BadTable: a column is missing, a row has another number of cells, or no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in needed if name not in header]
            if missing:
                raise BadTable(
                    f"{path}: line 1: no column {missing[0]!r}; the columns are "
                    f"{', '.join(header) or 'none'}"
                )
            rows = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                place = f"{path}: line {reader.line_num}"
                if len(cells) != len(header) and not ragged:
                    raise BadTable(f"{place}: {len(cells)} cells, the header has {len(header)}")
                held = zip(header, (c.strip() for c in cells), strict=False)
                rows.append(Row(place, dict(held)))
            return rows
    except UnicodeDecodeError as error:
        raise BadTable(f"{path}: not UTF-8 ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise BadTable(f"{path}: line {reader.line_num}: {error}; correct the quotes") from error


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
    """A warning that lists the clips' media that aren't there, if any."""
    absent = sorted({c.uri for c in clips if not os.path.isfile(c.uri)})
    if not absent:
        return []
    return [f"{len(absent)} media files aren't there: {shortened(absent)}"]
