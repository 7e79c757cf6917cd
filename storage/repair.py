"""Making damaged results stale, so that the next extract computes them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from storage.amend import amend
from storage.catalogue import failure_table
from storage.errors import ReadOnlyStore
from storage.records import Failure, Published
from storage.store import FeatureStore
from storage.verify import Verification, verify

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
        tagged: damaged results that only tags name; nothing can be computed for those, and
            reading them at the tag gives damaged rows or an error.
    """

    withdrawn: list[Published] = field(default_factory=list)
    tagged: list[Published] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The facts, for ``repair --json``."""
        return {"withdrawn": _facts(self.withdrawn), "tagged": _facts(self.tagged)}


def repair(
    store: FeatureStore,
    found: Verification | None = None,
    *,
    features: Collection[str] | None = None,
    dry_run: bool = False,
) -> Repair:
    """Withdraw damaged results from the catalogue in one atomic commit per feature.

    The rows leave the newest version only: earlier versions and tags read as before. What is
    withdrawn is noted in the failures table, from where the plan takes its reason ``damaged``.

    Args:
        found: what ``verify`` found; it is run if None.

    Raises:
        ReadOnlyStore; Conflict if other processes commit without a pause.
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
        done.tagged += [r for key, r in results.items() if key not in held]
        if held and not dry_run:
            # the note first: a crash in between leaves a note on a result that is still there,
            # which changes nothing, and the next repair goes on
            store.snapshot["failures"].append(failure_table(_notes(held.values())))
            _withdraw(store, feature, held)
    return done


def _held(
    store: FeatureStore, feature: str, results: dict[_Key, Published]
) -> dict[_Key, Published]:
    """Those that the newest catalogue still names."""
    names = {_key_of(r) for r in store.published(features=[feature])}
    return {key: r for key, r in results.items() if key in names}


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
