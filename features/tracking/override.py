"""Hand corrections: which track is the subject's, in which frames of a clip."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import RequestError

#: role of the clip asset that holds a clip's corrections
ROLE = "tracks"
COLUMNS = ("first", "last", "track")
#: stands in a correction for: nobody is the subject in these frames
NOBODY = -1


@dataclass(frozen=True)
class Override:
    """In frames ``first`` to ``last``, both included, the subject is ``track``, or nobody (-1)."""

    first: int
    last: int
    track: int


def read_overrides(path: str | Path) -> tuple[Override, ...]:
    """The corrections of one clip, in the order of the file; a later one wins.

    Raises:
        RequestError: the file isn't there, or a line makes no sense; the message names it.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"corrections of tracks: {path} can't be read ({error}); "
            "give them again by affectstore tracks override FILE"
        ) from None
    return tuple(parsed(row, f"{path}, line {i}") for i, row in enumerate(rows, 2))


def parsed(row: dict[str, str], where: str) -> Override:
    """One line's correction.

    Raises:
        RequestError: a cell is missing or no number, or first comes after last.
    """
    cells = [(row.get(name) or "").strip() for name in COLUMNS]
    try:
        first, last, track = (int(cell) for cell in cells)
    except ValueError:
        raise RequestError(
            f"{where}: first, last and track must be whole numbers, not {', '.join(cells)}"
        ) from None
    if not 0 <= first <= last or track < NOBODY:
        raise RequestError(
            f"{where}: frames go from first to last, counted from 0, and track is one of "
            f"the feature tracks, or -1 for nobody; not {', '.join(cells)}"
        )
    return Override(first, last, track)


def write_overrides(path: Path, overrides: Iterable[Override]) -> None:
    """Write one clip's corrections; equal ones give equal bytes."""
    lines = [",".join(COLUMNS), *(f"{o.first},{o.last},{o.track}" for o in overrides)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_tracks(overrides: Sequence[Override], frames: int, tracks: set[int], name: str) -> None:
    """That the corrections speak of frames and tracks that there are.

    Raises:
        RequestError: one doesn't; detections have changed, or it was a slip.
    """
    for one in overrides:
        if one.last >= frames:
            raise RequestError(
                f"{name}: corrections reach to frame {one.last}, its last is {frames - 1}; "
                "correct them by affectstore tracks override FILE"
            )
        if one.track != NOBODY and one.track not in tracks:
            raise RequestError(
                f"{name}: corrections name track {one.track}, which it doesn't have "
                "(affectstore tracks show lists them); correct them by affectstore tracks "
                "override FILE"
            )
