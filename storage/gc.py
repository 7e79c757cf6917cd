"""Removing what nobody can reach any more: old parts, superseded table files, leftovers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import ReadOnlyStore
from storage.inventory import Inventory, Leftover, PartFiles, take_inventory
from storage.local import STAGING_PREFIX, TRASH_PREFIX
from storage.location import Location
from storage.log import LOG, TableLog, read_logs
from storage.reach import firm_versions, reached_parts
from storage.store import FeatureStore
from storage.superseded import superseded as superseded_results
from storage.superseded import withdraw
from storage.tags import tags_of
from storage.unnamed import wipe_unnamed

#: untagged versions stay readable for so long
KEEP = timedelta(days=30)
#: nothing younger is ever removed; it must exceed the longest run, whose parts count only once
#: the run commits them
GRACE = timedelta(hours=24)
#: what delta-rs writes before it gives a file or a commit its name
_DRAFT = re.compile(r"\.(parquet|json)(#\d+|\.tmp)$")


@dataclass(frozen=True)
class TableFile:
    """A file of a table that no kept version is made of."""

    key: str
    bytes: int


@dataclass
class Garbage:
    """What gc removed, or would remove.

    Attributes:
        young: unreachable parts that stay because they may belong to a run under way.
        kept: versions of the catalogue that stay readable.
        wiped: parts in which rows that no version names any more were overwritten, as they are
            once clips were forgotten.
        superseded: results that left the newest version (or would); superseded_bytes: theirs.
    """

    parts: list[PartFiles] = field(default_factory=list)
    files: list[TableFile] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    young: int = 0
    kept: int = 0
    wiped: int = 0
    superseded: int = 0
    superseded_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all of it."""
        everything: Iterable[PartFiles | TableFile | Leftover] = [
            *self.parts,
            *self.files,
            *self.leftovers,
        ]
        return sum(thing.bytes for thing in everything)

    def to_json(self) -> dict[str, object]:
        """The facts, for ``gc --json``."""
        return {
            "bytes": self.bytes,
            "parts": [{"feature": p.feature, "part": p.part, "bytes": p.bytes} for p in self.parts],
            "files": [vars(f) for f in self.files],
            "leftovers": [{"key": x.key, "bytes": x.bytes} for x in self.leftovers],
            "young": self.young,
            "kept": self.kept,
            "wiped": self.wiped,
            "superseded": self.superseded,
            "superseded_bytes": self.superseded_bytes,
        }


def gc(
    store: FeatureStore,
    *,
    keep: timedelta = KEEP,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    superseded: bool = False,
) -> Garbage:
    """Remove parts and table files that no kept version or tag reaches, and old leftovers.

    Kept are the newest version, what is tagged, and every version that was the newest one within
    ``keep`` (at least ``grace``). Safe while others extract, tag, read and collect: a part counts
    from its commit on, and until it is older than ``grace`` its age alone protects it.

    Args:
        superseded: before that, take results out of the newest version that no configuration wants
            any more and another has replaced, both for longer than ``keep``. Their parts go once
            no version that is kept names them.

    Raises:
        ReadOnlyStore; StoreError if a file that a kept version needs is missing: nothing is
        removed while it can't be told what is reachable.
    """
    if store.read_only and not dry_run:
        raise ReadOnlyStore(f"{store!r} is open for reading only; open it without read_only, at")
    location = store.location
    kept = max(keep, grace).total_seconds()
    old = _withdraw(store, time.time() - kept, dry_run) if superseded else None
    # the versions before what was just withdrawn are of the past, too
    now = time.time()
    since, before = now - kept, now - grace.total_seconds()
    # the parts first: what is committed after this look is not in it
    inventory = take_inventory(location)
    found = _find(location, inventory, since, before)
    if not dry_run:
        # a tag or a commit that came meanwhile may reach what was found
        again = _find(location, inventory, since, before)
        found = _both(found, again)
        _remove(location, found)
        found.wiped = wipe_unnamed(store)
    if old is not None:
        found.superseded, found.superseded_bytes = len(old), pc.sum(old["bytes"]).as_py() or 0
    return found


def _withdraw(store: FeatureStore, since: float, dry_run: bool) -> pa.Table:
    """Take out of the newest version what is superseded since then; it is told."""
    moment = datetime.fromtimestamp(since, UTC)
    found = superseded_results(store, moment)
    if not dry_run:
        withdraw(store, moment, found)
    return found


def _find(location: Location, inventory: Inventory, since: float, before: float) -> Garbage:
    logs = read_logs(location)
    firm = firm_versions(logs, tags_of(location))
    kept = {name: firm[name] | log.current_since(since) for name, log in logs.items()}
    reached = reached_parts(
        location, logs["catalogue"], firm["catalogue"], kept["catalogue"] - firm["catalogue"]
    )
    lost = [part for name, part in sorted(inventory.parts.items()) if name not in reached]
    old = [part for part in lost if max(part.born, part.changed) < before]
    return Garbage(
        parts=old,
        files=[f for log in logs.values() for f in _superseded(location, log, kept, before)],
        leftovers=[x for x in inventory.leftovers if x.changed < before],
        young=len(lost) - len(old),
        kept=len(kept["catalogue"]),
    )


def unfinished(key: str) -> bool:
    """Whether a table's file is what a process was writing when it ended, and may hold rows."""
    name = key.rpartition("/")[2]
    return name.startswith((STAGING_PREFIX, TRASH_PREFIX)) or _DRAFT.search(name) is not None


def _superseded(
    location: Location, log: TableLog, kept: Mapping[str, set[int]], before: float
) -> list[TableFile]:
    """Files of expired versions, and files that no commit ever named."""
    needed = {file.key for file in log.of(kept[log.name])}
    known = {file.key for file in log.files}
    found: list[TableFile] = []
    for key, size, changed in location.list(log.name):
        if changed >= before or key in needed or not _removable(key):
            continue
        # a log that grew since it was read may name a file that it didn't know then: such a file
        # is as young as its commit, which is why a stranger's age alone decides
        if key in known or _stray(key):
            found.append(TableFile(key, size))
    return found


def _removable(key: str) -> bool:
    """Commits and checkpoints stay: they are small, and tell which files are whose."""
    name = key.rpartition("/")[2]
    return f"/{LOG}/" not in key or not name.endswith((".json", ".parquet", "_last_checkpoint"))


def _stray(key: str) -> bool:
    """Files of commits that never came, and what a process was writing when it ended."""
    name = key.rpartition("/")[2]
    passing = name.startswith((STAGING_PREFIX, TRASH_PREFIX))
    return passing or f"/{LOG}/" in key or ".parquet" in name


def _both(one: Garbage, other: Garbage) -> Garbage:
    """What both found."""
    parts = {p.key for p in other.parts}
    files = {f.key for f in other.files}
    return Garbage(
        parts=[p for p in one.parts if p.key in parts],
        files=[f for f in one.files if f.key in files],
        leftovers=one.leftovers,
        young=one.young,
        kept=other.kept,
    )


def _remove(location: Location, found: Garbage) -> None:
    # table files first: a version whose parts go must not look readable
    things: list[PartFiles | TableFile | Leftover] = [
        *found.files,
        *found.parts,
        *found.leftovers,
    ]
    delete: Callable[[str], None] = location.delete_tree
    for thing in things:
        with suppress(FileNotFoundError):  # another gc was faster
            delete(thing.key)
