"""Reads OpenFace's CSV files, of any of its versions, into the 714 columns.

Layouts that occur: 714 columns (2.x), 711 (2.0: without face_id and gaze angles), 709 (as others
pass it on: without the five bookkeeping columns), 431 (1.x: without face_id, gaze angles and eye
landmarks). Columns are found by name, so that their number and order don't matter.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from features.openface.errors import BadCsv
from features.openface_columns import COLUMNS_714, GROUPS

if TYPE_CHECKING:
    import pyarrow as pa

_PLACE = {name: i for i, name in enumerate(COLUMNS_714)}
_SIGNS = ("nan", "nan(ind)", "nan(snan)", "1.#IND", "1.#QNAN", "1.#SNAN", "1.#INF", "NaN")
#: how compilers spell what is no number; inf is one
NO_NUMBER = frozenset(f"{before}{sign}" for before in ("", "-", " ", " -") for sign in _SIGNS)
#: bytes that are read at a time
BLOCK = 4 * 2**20
#: a header is some 9 kB
LONGEST_HEADER = 2**20
#: no clip has more frames
MOST_FRAMES = 2**31


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

    It is read in blocks, so that memory holds the rows as numbers only.

    Raises:
        BadCsv: it can't be read, stops in the middle of a row, or isn't OpenFace's.
    """
    import pyarrow as pa
    from pyarrow import csv

    name = Path(path).name
    try:
        columns = _columns(name, path)
        wanted = [c for c in columns if c in _PLACE]
        with _opened(path) as file:
            blocks = csv.open_csv(
                file,
                read_options=csv.ReadOptions(
                    column_names=columns, skip_rows=1, block_size=BLOCK, use_threads=False
                ),
                parse_options=csv.ParseOptions(quote_char=False),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.float64()),
                    include_columns=wanted,
                    null_values=list(NO_NUMBER),
                ),
            )
            read = [_numbers(block) for block in blocks]
    except pa.ArrowInvalid as error:
        raise BadCsv(f"{name}: {where_damaged(path) or error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BadCsv(f"{name} can't be read ({error}); make it again with OpenFace") from error
    _check_end(name, path)
    return _table(name, wanted, read)


def _opened(path: str | Path) -> IO[bytes]:
    """The file, unpacked if it is packed, whatever its name."""
    with Path(path).open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path)) if packed else Path(path).open("rb")


def _columns(name: str, path: str | Path) -> list[str]:
    """The header; names that aren't OpenFace's may repeat."""
    with _opened(path) as file:
        first = file.readline(LONGEST_HEADER).decode("utf-8-sig", errors="replace")
    if not first.strip():
        raise BadCsv(f"{name} is empty; make it again with OpenFace")
    columns = [column.strip() for column in first.split(",")]
    _check_header(name, columns)
    return [c if c in _PLACE else f"{i} {c}" for i, c in enumerate(columns)]


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
        start = ", ".join(columns[:4])[:80]
        hint = "; its columns must be separated by commas" if ";" in start else ""
        raise BadCsv(
            f"{name} is no CSV of OpenFace 1.x or 2.x: its header starts with {start!r} and holds "
            f"no whole group of columns{hint}"
        )


def _check_end(name: str, path: str | Path) -> None:
    """The last row must be whole: a number that was cut off would still be a number."""
    last, lines = b"", 0
    with _opened(path) as file:
        while block := file.read(BLOCK):
            last, lines = block[-1:], lines + block.count(b"\n")
    if last not in (b"\n", b"\r"):
        raise BadCsv(
            f"{name} stops in the middle of line {lines + 1}: OpenFace was cut off while it "
            "wrote; make it again"
        )


def where_damaged(path: str | Path) -> str:
    """Which line of a CSV file isn't as it should be and what to do; "" if none is found."""
    with _opened(path) as file:
        columns = [c.strip() for c in file.readline().decode("utf-8-sig", "replace").split(",")]
        for number, line in enumerate(file, 2):
            text = line.decode(errors="replace").rstrip("\r\n")
            fields = text.split(",")
            if not text:
                continue
            if not line.endswith((b"\n", b"\r")):
                return (
                    f"it stops in the middle of line {number}: OpenFace was cut off while it "
                    "wrote; make it again"
                )
            if len(fields) != len(columns):
                what = "the file was cut off or damaged; make it again with OpenFace"
                if len(fields) > len(columns):
                    what = (
                        "decimal commas, or a damaged file; make it again with OpenFace under "
                        "LC_ALL=C"
                    )
                return (
                    f"line {number} has {len(fields)} values, the header {len(columns)} columns: "
                    f"{what}"
                )
            for column, field in zip(columns, fields, strict=True):
                if column in _PLACE and not _is_number(field.strip()):
                    return (
                        f"line {number}, column {column} holds {field.strip()[:40]!r}, which is no "
                        "number; make the file again with OpenFace"
                    )
    return ""


def _is_number(field: str) -> bool:
    if field in NO_NUMBER:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _numbers(block: pa.RecordBatch) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Of one block, float32 ``(rows, 714)``, and the rows' frame as the file counts them."""
    values = np.full((block.num_rows, len(COLUMNS_714)), np.nan, np.float32)
    frame = np.full(block.num_rows, np.nan)
    with np.errstate(over="ignore"):
        for column in block.schema.names:
            cells = block.column(column).to_numpy(zero_copy_only=False)
            values[:, _PLACE[column]] = cells
            if column == "frame":
                frame = cells
    return values, frame


def _table(
    name: str, columns: list[str], read: list[tuple[NDArray[np.float32], NDArray[np.float64]]]
) -> Table:
    nothing = np.zeros((0, len(COLUMNS_714)), np.float32)
    values = np.concatenate([nothing, *(block for block, _ in read)])
    numbers = np.concatenate([np.zeros(0), *(frame for _, frame in read)])
    missing = tuple(c for c in COLUMNS_714 if c not in set(columns))
    if "frame" in missing:
        return Table(values, np.arange(len(values)), False, len(columns), missing)
    whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
    if not (whole & (numbers >= 0) & (numbers < MOST_FRAMES)).all():
        raise BadCsv(
            f"{name}: the column frame holds no whole numbers from 0 on; make it again with "
            "OpenFace"
        )
    # 2.x counts from 1; a file with a frame 0 counts from there
    first = 0 if len(numbers) and numbers.min() == 0 else 1
    return Table(values, numbers.astype(np.int64) - first, True, len(columns), missing)
