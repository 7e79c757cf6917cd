"""The store's history: what each commit changed, as Delta's own logs tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from storage.commits import EPOCH, NOTE
from storage.snapshot import Snapshot
from storage.tags import Tag

#: ``extractors`` only repeats what commits of the catalogue bring along
TABLES = ("catalogue", "clips", "configurations", "tags", "runs", "failures")


@dataclass(frozen=True)
class Change:
    """One commit to one table.

    Attributes:
        time: by the clock of the machine that committed, in whole milliseconds.
        version: the table's; the catalogue's are what ``at`` takes.
        what: in words.
        rows: rows that were written, None where the log doesn't say.
        tags: names that stand for this version of the catalogue now.
    """

    time: datetime
    table: str
    version: int
    what: str
    rows: int | None
    tags: tuple[str, ...] = ()


def changes(snapshot: Snapshot, tags: Sequence[Tag], limit: int | None = None) -> list[Change]:
    """All commits up to the snapshot's versions, newest first; the ``limit`` newest if given."""
    named: dict[int, list[str]] = defaultdict(list)
    for tag in tags:
        named[tag.versions["catalogue"]].append(tag.name)
    found: list[Change] = []
    for name in TABLES:
        for entry in snapshot[name].commits.all(limit):
            version = entry["version"]
            if version > 0 or name == "catalogue":
                names = tuple(named[version]) if name == "catalogue" else ()
                found.append(_change(name, entry, names))
    order = {name: i for i, name in enumerate(TABLES)}
    return sorted(found, key=lambda c: (c.time, -order[c.table], c.version), reverse=True)[:limit]


def _change(table: str, entry: dict[str, Any], tags: tuple[str, ...]) -> Change:
    rows = entry.get("operationMetrics", {}).get("num_added_rows")
    what = entry.get(NOTE + "what")
    if what is None and entry["version"] == 0:
        what = "the store was made"
    if what is None:
        what = f"{table}: {entry['operation'].lower()}"
    time = EPOCH + timedelta(milliseconds=entry["timestamp"])
    return Change(time, table, entry["version"], what, rows, tags)
