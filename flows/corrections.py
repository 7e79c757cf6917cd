"""Hand corrections of tracks: from a user's table to the attributes of the clips it names."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.errors import CorpusError
from corpora.files import csv_cells
from features.canonical import canonical_json
from features.errors import RequestError
from features.tracking.override import (
    ATTRIBUTE,
    NOBODY,
    Override,
    check_overrides,
    from_attribute,
    to_attribute,
)
from storage import FeatureStore

COLUMNS = ("clip", "frames", "track")
NONE = "none"
#: ``12-40``, ``12-``, ``12``, or nothing; int() itself would take 1_2 for 12
_FRAMES = re.compile(r"(?:([0-9]+)\s*(?:(-)\s*([0-9]+)?)?)?")
#: -1 is what the store has for nobody
_TRACK = re.compile(rf"[0-9]+|-1|{NONE}")

#: (corpus, clip)
Name = tuple[str, str]


def override_tracks(store: FeatureStore, file: str | Path, corpus: str | None = None) -> list[Name]:
    """Keep a table's corrections with the store; each clip's replace what it had before.

    What reads them is planned again, for the clips named in the table and no others. Nothing is
    kept if any line is wrong.

    Args:
        file: CSV with the columns clip, frames (``12-40``, ``12``, ``12-``, or empty for all of
            the clip) and track (a number of the feature ``tracks``, or none); corpus too, where
            a clip of that name is in more than one.
            Of lines whose frames overlap, the later one wins.
        corpus: of lines that name none.

    Returns:
        The clips whose corrections changed.

    Raises:
        RequestError: the table can't be read, or a line names no clip, frames or track there is.
    """
    known = {(r["corpus"], r["clip"]): r for r in store.clips(corpus).to_pylist()}
    given: dict[Name, list[Override]] = defaultdict(list)
    for line, row in _rows(file):
        where = f"{file}, line {line}"
        given[_named(row, known, corpus, where)].append(_override(row, where))
    if not given:
        raise RequestError(f"{file} has no line below its header; name a clip, frames and a track")
    for name, overrides in given.items():
        _check(store, name, overrides)
    return _keep(store, known, {name: to_attribute(o) for name, o in given.items()})


def clear_overrides(store: FeatureStore, clip: str, corpus: str | None = None) -> list[Name]:
    """Forget a clip's corrections; the clip, if it had any.

    Raises:
        RequestError: there is no such clip.
    """
    known = {(r["corpus"], r["clip"]): r for r in store.clips(corpus).to_pylist()}
    return _keep(store, known, {_named({"clip": clip}, known, corpus, "--clip"): None})


def corrections_of(row: Mapping[str, Any]) -> tuple[Override, ...]:
    """The corrections of a row of the clips table."""
    attrs = json.loads(row["attrs"] or "{}")
    return from_attribute(attrs.get(ATTRIBUTE, "[]"))


def keep_overrides(row: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Give a clip row that is ingested again the corrections that the clip had."""
    attrs = json.loads(row.get("attrs") or "{}")
    kept = json.loads(before.get("attrs") or "{}").get(ATTRIBUTE)
    if kept is not None and ATTRIBUTE not in attrs:
        row["attrs"] = canonical_json({**attrs, ATTRIBUTE: kept})


def _rows(file: str | Path) -> list[tuple[int, dict[str, str]]]:
    """The lines that say something, each with its number in the file."""
    rows = []
    try:
        lines = csv_cells(Path(file), strict=True)
        columns = [name.lower() for name in next(lines, (1, []))[1]]
        _check_columns(file, columns)
        for line, cells in lines:
            if len(cells) != len(columns):
                raise RequestError(
                    f"{file}, line {line}: {len(cells)} cells, but the header has "
                    f"{len(columns)}; frames are one cell, like 12-40"
                )
            rows.append((line, dict(zip(columns, cells, strict=True))))
    except CorpusError as error:
        raise RequestError(str(error)) from None
    except OSError as error:
        raise RequestError(f"{file} can't be read: {error}") from None
    return rows


def _check_columns(file: str | Path, columns: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise RequestError(
            f"{file} lacks the columns {', '.join(missing)}; it must have clip, frames, track, "
            "separated by commas"
        )
    twice = [name for name in (*COLUMNS, "corpus") if columns.count(name) > 1]
    if twice:
        raise RequestError(f"{file} has the column {twice[0]} more than once; keep one")


def _named(
    row: Mapping[str, str], known: Mapping[Name, Any], corpus: str | None, where: str
) -> Name:
    clip, asked = row["clip"], row.get("corpus") or corpus
    names = [n for n in known if n[1] == clip and asked in (None, n[0])]
    if len(names) == 1:
        return names[0]
    if names:
        raise RequestError(
            f"{where}: {clip} is in {', '.join(n[0] for n in names)}; say which by --corpus"
        )
    place = f"{asked} has" if asked else "the store has"
    raise RequestError(f"{where}: {place} no clip {clip!r}; affectstore tracks show lists them")


def _override(row: Mapping[str, str], where: str) -> Override:
    frames, track = _FRAMES.fullmatch(row["frames"]), row["track"].lower()
    if frames and _TRACK.fullmatch(track):
        first, dash, last = frames.groups()
        start = int(first or 0)
        stop = int(last) if last else None if dash or not first else start
        if stop is None or stop >= start:
            return Override(start, stop, NOBODY if track == NONE else int(track))
    raise RequestError(
        f"{where}: frames {row['frames']!r} and track {row['track']!r} must be like 12-40 "
        "and 3, or none for nobody; frames count from 0, both ends are included"
    )


def _check(store: FeatureStore, name: Name, overrides: Sequence[Override]) -> None:
    """Against the tracks that the clip has; where it has none yet, the extractor checks."""
    corpus, clip = name
    if any(p.feature == "tracks" for p in store.current(clip, corpus)):
        rows = store.read(clip, "tracks", corpus=corpus, stale="allow")
        check_overrides(overrides, np.unique(rows.values).tolist(), clip, rows.rows)


def _keep(
    store: FeatureStore, known: Mapping[Name, dict[str, Any]], texts: Mapping[Name, str | None]
) -> list[Name]:
    """Write the attribute where it differs; one commit per corpus."""
    changed: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, text in texts.items():
        row = known[name]
        attrs = json.loads(row["attrs"] or "{}")
        if attrs.get(ATTRIBUTE) == text:
            continue
        attrs = {k: v for k, v in attrs.items() if k != ATTRIBUTE}
        attrs |= {} if text is None else {ATTRIBUTE: text}
        changed[name[0]].append({**row, "attrs": canonical_json(attrs) if attrs else None})
    names = ("clip", "attrs", "state")
    for corpus, rows in changed.items():
        table = {name: pa.array([r[name] for r in rows], pa.string()) for name in names}
        store.upsert_clips(corpus, pa.table(table))
    return sorted((corpus, r["clip"]) for corpus, rows in changed.items() for r in rows)
