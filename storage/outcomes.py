"""What a store knows of some clips' features: which result is wanted, and which there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalogue import published_records
from storage.errors import StoreError
from storage.records import Configuration, Node, Published
from storage.resolve import CATALOGUE_COLUMNS, FAILURE_COLUMNS, closure, resolve
from storage.resolve_few import FEW, resolve_few
from storage.snapshot import Snapshot

#: corpus, clip and feature
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Outcome:
    """What a store knows of one (clip, feature) under one configuration.

    Attributes:
        state: published, stale, missing or quarantined.
        published: the result of the wanted fingerprint.
        latest: the newest result of that clip and feature, whatever its fingerprint.
    """

    state: str
    published: Published | None
    latest: Published | None


def outcomes(
    snapshot: Snapshot,
    configuration: Configuration | None,
    clips: pa.Table,
    where: Mapping[str, str | Sequence[str]],
    features: Sequence[str],
) -> dict[Key, Outcome]:
    """What is known of each clip in ``clips`` (all that match ``where``) and feature."""
    if not features:
        return {}
    nodes = closure(configuration.nodes if configuration else (), features)
    names = {*features, *(n.feature for n in nodes), *(f for n in nodes for _, f in n.inputs)}
    rows = snapshot["catalogue"].read({**where, "feature": sorted(names)})
    history = _by_key(rows.filter(pc.field("feature").isin(list(features))))
    made = {node.feature for node in nodes}
    found: dict[Key, Outcome] = {}
    for corpus, clip in _pairs(clips):
        for feature in features:
            results = history.get((corpus, clip, feature), [])
            if feature not in made and results:
                found[corpus, clip, feature] = Outcome("published", results[-1], results[-1])
            elif feature not in made:
                found[corpus, clip, feature] = Outcome("missing", None, None)
    if not nodes:
        return found
    wanted = _resolved(snapshot, nodes, clips, where, rows)
    wanted = wanted.filter(pc.field("feature").isin(list(features)))
    others = wanted.filter((pc.field("state") == "published") & ~pc.field("own"))
    elsewhere = {r.fingerprint: r for r in _by_fingerprint(snapshot, others)}
    for row in wanted.to_pylist():
        key = (row["corpus"], row["clip"], row["feature"])
        results = history.get(key, [])
        latest = results[-1] if results else None
        result: Published | None = None
        if row["state"] == "published" and row["own"]:
            same = [r for r in results if r.fingerprint == row["fingerprint"]]
            if not same:
                raise StoreError(
                    f"{'/'.join(key)}: the catalogue's log hides rows that are there; affectstore "
                    "verify names the commit that is damaged"
                )
            result = same[-1]
        elif row["state"] == "published":
            other = elsewhere[row["fingerprint"]]
            result = replace(other, corpus=row["corpus"], clip=row["clip"])
        found[key] = Outcome(row["state"], result, latest)
    return found


def _resolved(
    snapshot: Snapshot,
    nodes: Sequence[Node],
    clips: pa.Table,
    where: Mapping[str, str | Sequence[str]],
    rows: pa.Table,
) -> pa.Table:
    """States of the nodes, with results of other clips taken in as far as they fit."""
    names = sorted({n.feature for n in nodes} | {f for n in nodes for _, f in n.inputs})
    failures = snapshot["failures"].read({**where, "feature": names}, FAILURE_COLUMNS)
    rows = rows.filter(pc.field("feature").isin(names)).select(list(CATALOGUE_COLUMNS))
    asked: set[str] = set()
    while True:
        way = resolve_few if len(clips) <= FEW else resolve
        resolved = way(nodes, clips, rows, failures)
        unpublished = resolved.filter(pc.field("state") != "published")["fingerprint"]
        missing = set(unpublished.drop_null().to_pylist()) - asked
        if not missing:
            return resolved
        asked |= missing
        elsewhere = {"feature": names, "fingerprint": sorted(missing)}
        others = snapshot["catalogue"].read(elsewhere, CATALOGUE_COLUMNS)
        if not len(others):
            return resolved
        rows = pa.concat_tables([rows, others])


def _by_fingerprint(snapshot: Snapshot, rows: pa.Table) -> list[Published]:
    if not len(rows):
        return []
    keys = pc.unique(rows["fingerprint"]).to_pylist()
    return published_records(snapshot["catalogue"].read({"fingerprint": keys}))


def _by_key(rows: pa.Table) -> dict[Key, list[Published]]:
    found: dict[Key, list[Published]] = defaultdict(list)
    for result in published_records(rows):
        found[result.corpus, result.clip, result.feature].append(result)
    return found


def _pairs(clips: pa.Table) -> Iterable[tuple[str, str]]:
    return zip(clips["corpus"].to_pylist(), clips["clip"].to_pylist(), strict=True)
