"""Withdrawn consent: every row and byte of a clip goes, under tags too; only its id stays."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from storage.amend import amend
from storage.clips import FORGOTTEN
from storage.errors import DamagedPart, ReadOnlyStore, UnknownClip
from storage.gc import GRACE, unfinished
from storage.inventory import PartName, take_inventory
from storage.location import Location
from storage.log import read_file
from storage.reading import StoreReader
from storage.redact import Clips, data_files, naming, redact_files, redact_log, unredacted
from storage.scrub import gaps, wipe
from storage.statistics import FOLDER as STATISTICS
from storage.store import FeatureStore
from storage.unnamed import held, named_rows, tombstones

#: tables that know clips
TABLES = ("catalogue", "failures", "clips")


@dataclass
class Forgotten:
    """What was removed.

    Attributes:
        clips: (corpus, clip).
        wiped: parts in which rows were overwritten; removed: parts that held nothing else.
        files: files of tables that were rewritten.
        shared: (corpus, clip) of other clips with the same recording, whose results keep it.
        damaged: parts that were removed whole, since they couldn't be read: verify then names
            the results of other clips that lay in them.
        young: parts and table files of runs under way, or broken off lately, that may hold rows:
            forget again after those runs.
    """

    clips: list[tuple[str, str]]
    wiped: int = 0
    removed: int = 0
    files: int = 0
    shared: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[PartName] = field(default_factory=list)
    young: int = 0

    def to_json(self) -> dict[str, object]:
        """The facts, for ``forget --json``."""
        return dict(vars(self))


def find_clips(
    store: StoreReader,
    *,
    clip: str | None = None,
    subject: str | None = None,
    corpus: str | None = None,
) -> list[tuple[str, str]]:
    """(corpus, clip) of a clip, or of all clips of a subject.

    Raises:
        UnknownCorpus; UnknownClip: there is none, or the clip is in several corpora.
    """
    if clip is not None:
        return [(store.clip(clip, corpus)["corpus"], clip)]
    rows = store.clips(corpus)
    found = rows.filter(pc.field("subject") == subject).select(["corpus", "clip"]).to_pylist()
    if not found:
        raise UnknownClip(f"no clip{f' of {corpus}' if corpus else ''} has the subject {subject!r}")
    return [(row["corpus"], row["clip"]) for row in found]


def forget(
    store: FeatureStore, clips: Sequence[tuple[str, str]], *, grace: timedelta = GRACE
) -> Forgotten:
    """Remove all that the store knows of the clips, in every version and under every tag.

    Their ids stay as tombstones, so that no ingest brings them back unasked. Whatever an earlier
    ``forget`` that was broken off has left is removed with them; ``clips`` may be none. Files of
    the media are not touched; copies of the store elsewhere need their own ``forget``.

    Args:
        grace: parts that no version names are removed if they are older: a run under way may
            be about to publish younger ones.

    Raises:
        ReadOnlyStore; Conflict if other processes commit without a pause.
    """
    if store.read_only:
        raise ReadOnlyStore(f"{store!r} is open for reading only; open it without read_only, at")
    names: defaultdict[str, set[str]] = defaultdict(set)
    for corpus, clip in clips:
        names[corpus].add(clip)
    done = Forgotten(sorted(set(clips)))
    done.shared = _sharing(store, names)
    for corpus, ids in names.items():
        _withdraw(store, corpus, sorted(ids))
    for corpus, before in tombstones(store).items():
        _empty(store, corpus, sorted(before))
        names[corpus].update(before)
    # sums over clips are of the forgotten ones too; they are made again when they are needed
    store.location.delete_tree(STATISTICS)
    old = time.time() - grace.total_seconds()
    _scrub(store.location, names, done, old)
    for table in TABLES:
        _drop_unfinished(store.location, table, done, old)
        done.files += redact_files(store.location, table, names)
        redact_log(store.location, table, names)
        store.snapshot[table].reload()
    return done


def remains(location: Location, clips: Clips) -> list[tuple[str, str, str]]:
    """What is left of forgotten clips: (feature, part or file, what); empty if nothing is.

    Files of the tables that name them, and parts in which rows that no version names hold
    anything: whose rows those are can't be told any more.
    """
    if not clips:
        return []
    found = []
    before = time.time() - GRACE.total_seconds()
    for table in TABLES:
        for key, _, changed in location.list(table):
            if unfinished(key) and changed < before:
                found.append(("", key, "what a broken-off run was writing is left"))
        for key in data_files(location, table):
            if pc.any(naming(read_file(location, key), clips)).as_py():
                found.append(("", key, "rows of forgotten clips are left"))
        for key in unredacted(location, table, clips):
            found.append(("", key, "the log tells of forgotten clips"))
    named, _ = named_rows(location, {})
    inventory = take_inventory(location)
    parts = inventory.parts
    for left in inventory.leftovers:
        if left.changed < before:
            found.append(("", left.key, "what a broken-off run was writing is left"))
    for name, ranges in sorted(named.items()):
        with suppress(DamagedPart):  # told on its own
            if name in parts and held(location, parts[name], ranges):
                found.append((*name, "rows that no version names hold values"))
    return found


def _withdraw(store: FeatureStore, corpus: str, ids: list[str]) -> None:
    """Take the clips out of the newest versions; readers find tombstones from now on."""
    where = {"corpus": corpus, "clip": ids}
    amend(store.snapshot["clips"], where, _buried, f"forget: {len(ids)} clips")
    _empty(store, corpus, ids)


def _empty(store: FeatureStore, corpus: str, ids: list[str]) -> None:
    where = {"corpus": corpus, "clip": ids}
    for table in ("catalogue", "failures"):
        amend(store.snapshot[table], where, _emptied, f"forget: {len(ids)} clips")


def _buried(rows: pa.Table) -> pa.Table | None:
    kept = rows.filter(pc.equal(rows["state"], FORGOTTEN))
    if len(kept) == len(rows):
        return None
    now = datetime.now(UTC)
    entries = [
        {"corpus": r["corpus"], "clip": r["clip"], "state": FORGOTTEN, "time": now}
        for r in rows.select(["corpus", "clip"]).to_pylist()
    ]
    return pa.Table.from_pylist(entries, schema=rows.schema)


def _emptied(rows: pa.Table) -> pa.Table | None:
    return rows.slice(0, 0) if len(rows) else None


def _sharing(store: FeatureStore, names: Clips) -> list[tuple[str, str]]:
    """Other clips whose recording is one of the clips'."""
    rows = store.clips()
    mine = naming(rows, names)
    media = pc.unique(rows.filter(mine)["sha256"].drop_null())
    same = pc.and_(pc.is_in(rows["sha256"], value_set=media), pc.invert(mine))
    others = rows.filter(same).select(["corpus", "clip"]).to_pylist()
    return [(row["corpus"], row["clip"]) for row in others]


def _scrub(location: Location, names: Clips, done: Forgotten, before: float) -> None:
    """Overwrite what nobody else names; before the tables, which tell where the rows lie."""
    inventory = take_inventory(location)
    for left in inventory.leftovers:
        # whose rows a broken-off run was writing can't be told
        if left.changed < before:
            location.delete_tree(left.key)
            done.removed += 1
        else:
            done.young += 1
    parts = inventory.parts
    named, doomed = named_rows(location, names)
    for name, files in sorted(parts.items()):
        if name in named:
            try:
                done.wiped += wipe(location, files, gaps(location, files, named[name])) > 0
            except DamagedPart:
                location.delete_tree(files.key)
                done.damaged.append(name)
        elif name in doomed or max(files.born, files.changed) < before:
            location.delete_tree(files.key)
            done.removed += 1
        else:
            done.young += 1


def _drop_unfinished(location: Location, table: str, done: Forgotten, before: float) -> None:
    """Remove what broken-off commits were writing into a table: it may hold the clips' rows."""
    for key, _, changed in list(location.list(table)):
        if not unfinished(key):
            continue
        if changed < before:
            location.delete_tree(key)
            done.removed += 1
        else:
            done.young += 1
