"""Making damaged results stale, so that the next extract computes them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from storage.amend import amend
from storage.catalogue import failure_table
from storage.compact import Pieces, repointed
from storage.errors import ReadOnlyStore
from storage.log import read_file
from storage.records import Failure, Published
from storage.redact import data_files, redact_log, replace_file
from storage.store import FeatureStore
from storage.unnamed import wipe_unnamed
from storage.verify import REMAINS, Verification, damage_of, verify

CODE = "damaged"
#: stands before the fingerprint in the failures table: such a failure is a record for the plan
#: and never quarantines, since no wanted fingerprint equals it
PREFIX = "damaged:"
#: fingerprints that a commit's predicate names; of more, whole features are rewritten
NAMED = 200

_Key = tuple[str, str, str, tuple[tuple[str, int, int], ...]]


@dataclass
class Repair:
    """What a repair did, or would do.

    Attributes:
        withdrawn: results taken out of the newest catalogue.
        restored: damaged results of earlier versions that read sound rows of equal content now.
        tagged: those of which no sound rows are there (yet): what an extract computes again with
            the same content restores them at the next repair.
        wiped: parts in which rows that no version names were overwritten, since clips were
            forgotten.
    """

    withdrawn: list[Published] = field(default_factory=list)
    restored: list[Published] = field(default_factory=list)
    tagged: list[Published] = field(default_factory=list)
    wiped: int = 0

    def to_json(self) -> dict[str, object]:
        """The facts, for ``repair --json``."""
        return {
            "withdrawn": _facts(self.withdrawn),
            "restored": _facts(self.restored),
            "tagged": _facts(self.tagged),
            "wiped": self.wiped,
        }


def repair(
    store: FeatureStore,
    found: Verification | None = None,
    *,
    features: Collection[str] | None = None,
    dry_run: bool = False,
) -> Repair:
    """Withdraw damaged results from the catalogue in one atomic commit per feature.

    What is withdrawn is noted in the failures table, from where the plan takes its reason
    ``damaged``. The rows leave the newest version only. Under tags and in earlier versions a
    damaged result is pointed to a sound one with the same content hash, as soon as there is one.

    Args:
        found: what ``verify`` found; it is run if None.

    Raises:
        ReadOnlyStore; Conflict if other processes commit without a pause; NotPublished: no
            result of one of ``features`` is there.
    """
    if store.read_only and not dry_run:
        raise ReadOnlyStore(f"{store!r} is open for reading only; open it without read_only, at")
    found = found or verify(store, features=features)
    damaged: defaultdict[str, dict[_Key, Published]] = defaultdict(dict)
    for result in found.damaged:
        damaged[result.feature][_key_of(result)] = result
    done = Repair()
    for feature, results in sorted(damaged.items()):
        held = _held(store, feature, results)
        done.withdrawn += held.values()
        tagged = [r for key, r in results.items() if key not in held]
        moves = _sound_twins(store, feature, tagged)
        done.restored += [r for r in tagged if r.pieces in moves]
        done.tagged += [r for r in tagged if r.pieces not in moves]
        if moves and not dry_run:
            _repoint(store, moves)
        if held and not dry_run:
            # the note first: a crash in between leaves a note on a result that is still there,
            # which changes nothing, and the next repair goes on
            store.snapshot["failures"].append(failure_table(_notes(held.values())))
            _withdraw(store, feature, held)
    if not dry_run and any(p.kind == REMAINS and p.feature for p in found.problems):
        done.wiped = wipe_unnamed(store)
    return done


def _held(
    store: FeatureStore, feature: str, results: dict[_Key, Published]
) -> dict[_Key, Published]:
    """Those that the newest catalogue still names."""
    names = {_key_of(r) for r in store.published(features=[feature])}
    return {key: r for key, r in results.items() if key in names}


def _sound_twins(
    store: FeatureStore, feature: str, tagged: Collection[Published]
) -> dict[Pieces, Pieces]:
    """Damaged pieces -> pieces of a sound result with the same content hash."""
    wanted = {r.content: r.pieces for r in tagged}
    if not wanted:
        return {}
    moves: dict[Pieces, Pieces] = {}
    damage = damage_of(store.location)
    for result in store.published(features=[feature]):
        old = wanted.get(result.content)
        if old is None or old in moves or result.pieces == old:
            continue
        if damage(result) is None:
            moves |= {r.pieces: result.pieces for r in tagged if r.content == result.content}
    return moves


def _repoint(store: FeatureStore, moves: dict[Pieces, Pieces]) -> None:
    """Let rows in the catalogue's files of all versions name the sound pieces."""
    for key in data_files(store.location, "catalogue"):
        rows = repointed(read_file(store.location, key), moves)
        if rows is not None:
            replace_file(store.location, key, rows)
    redact_log(store.location, "catalogue", {})
    store.snapshot["catalogue"].reload()
    wipe_unnamed(store)


def _withdraw(store: FeatureStore, feature: str, held: dict[_Key, Published]) -> None:
    fingerprints = sorted({r.fingerprint for r in held.values()})
    where: dict[str, str | list[str]] = {"feature": feature}
    if len(fingerprints) <= NAMED:
        where["fingerprint"] = fingerprints

    def without(rows: pa.Table) -> pa.Table | None:
        kept = [_row_key(row) not in held for row in _slim(rows).to_pylist()]
        return None if all(kept) else rows.filter(pa.array(kept, pa.bool_()))

    said = f"repair: {len(held)} damaged results of {feature} withdrawn"
    amend(store.snapshot["catalogue"], where, without, said)


def _slim(rows: pa.Table) -> pa.Table:
    return rows.select(["corpus", "clip", "fingerprint", "pieces"])


def _key_of(result: Published) -> _Key:
    pieces = tuple((p.part, p.row_start, p.row_stop) for p in result.pieces)
    return (result.corpus, result.clip, result.fingerprint, pieces)


def _row_key(row: dict[str, object]) -> _Key:
    pieces = tuple((p["part"], p["row_start"], p["row_stop"]) for p in row["pieces"])  # type: ignore[attr-defined]
    return (str(row["corpus"]), str(row["clip"]), str(row["fingerprint"]), pieces)


def _notes(results: Collection[Published]) -> list[Failure]:
    now = datetime.now(UTC)
    return [
        Failure(
            corpus=r.corpus,
            clip=r.clip,
            feature=r.feature,
            fingerprint=PREFIX + r.fingerprint,
            code=CODE,
            message=f"the stored rows were damaged (part {_parts(r)}) and were withdrawn",
            log="",
            attempts=0,
            run="repair",
            time=now,
        )
        for r in results
    ]


def _parts(result: Published) -> str:
    return ", ".join(p.part for p in result.pieces)


def _facts(results: list[Published]) -> list[dict[str, object]]:
    return [
        {
            "corpus": r.corpus,
            "clip": r.clip,
            "feature": r.feature,
            "content": r.content,
            "parts": [p.part for p in r.pieces],
        }
        for r in sorted(results, key=lambda r: (r.feature, r.corpus, r.clip))
    ]
