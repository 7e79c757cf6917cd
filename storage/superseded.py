"""Results that no configuration wants any more, and in whose place others stand."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from storage.amend import amend
from storage.configurations import RUN, newest
from storage.parts_wanted import identities
from storage.reading import StoreReader
from storage.records import Configuration
from storage.resolve import CLIP_COLUMNS, FAILURE_COLUMNS, Resolution, closure, unpacked

#: what tells a result, beside its feature
_KEY = ("corpus", "clip", "fingerprint")


def superseded(store: StoreReader, before: datetime) -> pa.Table:
    """Results older than ``before`` that nobody wants, where one that is wanted is as old.

    Wanted is what the newest version of a configuration names; that of a single run counts until
    it is as old. A feature that one of them doesn't make is wanted whole: its newest result counts.

    Returns:
        A table (corpus, clip, feature, fingerprint, bytes).
    """
    configurations = _counting(store, before)
    made = [{node.feature for node in c.nodes} for c in configurations]
    everywhere = set.intersection(*made) if made else set()
    catalogue = store.snapshot["catalogue"].fixed()
    nodes = [node for c in configurations for node in c.nodes]
    with Resolution(
        nodes,
        store.clips(columns=CLIP_COLUMNS),
        catalogue.batches,
        store.failures(columns=FAILURE_COLUMNS),
        keep=("bytes",),
        all_keys=False,
    ) as resolution:
        db = resolution.db
        db.execute("CREATE TABLE wanted (feature SMALLINT, id INTEGER, fingerprint BLOB)")
        numbers: dict[tuple[object, ...], int] = {}
        known: set[int] = set()
        for configuration in configurations:
            own = identities(configuration.nodes, numbers)
            fresh = [feature for feature, key in own.items() if key not in known]
            for node in resolution.states(closure(configuration.nodes, fresh)):
                db.execute(_WANTED, [resolution.codes[node.feature]])
            known |= {*own.values()}
        codes = [resolution.codes[feature] for feature in sorted(everywhere)]
        return db.execute(_SUPERSEDED, [before, before, codes]).to_arrow_table()


def withdraw(store: StoreReader, before: datetime, found: pa.Table) -> None:
    """Take these results out of the newest catalogue, by one commit per feature."""
    for feature in sorted(set(found["feature"].to_pylist())):
        own = found.filter(pc.field("feature") == feature)
        said = f"gc: {len(own):,} superseded results of {feature} withdrawn"
        without = partial(_without, _keys(own), before)
        amend(store.snapshot["catalogue"], {"feature": feature}, without, said)


def _counting(store: StoreReader, before: datetime) -> list[Configuration]:
    rows = store.snapshot["configurations"].read()
    found = []
    for name in sorted(set(rows["name"].to_pylist())):
        of_name = rows.filter(pc.field("name") == name)
        held = newest(of_name)
        over = name.startswith(RUN) and pc.max(of_name["time"]).as_py() < before
        if held is not None and not over:
            found.append(held[1])
    return found


def _without(keys: pa.Array, before: datetime, rows: pa.Table) -> pa.Table | None:
    """The rows that stay, None if all do; what was published since ``before`` does."""
    old = pc.less(rows["time"], pa.scalar(before, rows.schema.field("time").type))
    gone = pc.and_(old, pc.is_in(_keys(rows), value_set=keys))
    return rows.filter(pc.invert(gone)) if pc.any(gone).as_py() else None


def _keys(rows: pa.Table) -> pa.Array:
    columns = (rows[name].cast(pa.string()).combine_chunks() for name in _KEY)
    return pc.binary_join_element_wise(*columns, "\0")


_WANTED = """
INSERT INTO wanted SELECT ?, id, fingerprint FROM state WHERE state = 'published'
"""
_SUPERSEDED = f"""
WITH served AS (
    SELECT DISTINCT w.feature, w.id FROM wanted w JOIN results n USING (feature, fingerprint)
    WHERE n.time < ?
), unwanted AS (
    SELECT r.* FROM results r ANTI JOIN wanted w USING (feature, fingerprint) WHERE r.time < ?
)
SELECT c.corpus, c.clip, f.feature, {unpacked("r.fingerprint")} AS fingerprint, r.bytes
FROM unwanted r SEMI JOIN served s USING (feature, id)
JOIN clips c USING (id) JOIN codes f ON f.code = r.feature
WHERE list_contains(?, f.code)
"""
