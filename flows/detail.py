"""A plan clip by clip: which feature would be computed, why, and how many rows at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from flows.plan import Plan
from storage.database import database
from storage.resolve import Catalogue, batches

DETAIL_COLUMNS = ("corpus", "clip", "feature", "rows", "time")
#: of more clips than this, those with the same work are shown together
CLIPS_APART = 20
#: clips that a group names
NAMED = 3


@dataclass(frozen=True)
class Work:
    """What is to do of one feature; ``rows`` is None where no clip has an earlier result.

    ``rows``: of the clips' newest results, whatever made them; frame-local features may turn out
    to need fewer.
    """

    feature: str
    reason: str
    certain: bool
    rows: int | None


@dataclass(frozen=True)
class Group:
    """Clips with the same work; ``names`` are the first of them, as corpus/clip."""

    names: tuple[str, ...]
    clips: int
    works: tuple[Work, ...]


def detail(plan: Plan, catalogue: Catalogue) -> pa.Table:
    """One row per (clip, feature) that runs or may run, in order of clip.

    Returns:
        corpus, clip, feature, certain, reason, rows (null where the clip has no earlier result).
        The reason of what isn't certain is ``after`` and what it waits for.
    """
    order = {node.feature: i for i, node in enumerate(plan.nodes)}
    open_ = {name for name, f in plan.by_feature.items() if f.clips or f.maybe}
    waits = {n.feature: [f for _, f in n.inputs if f in open_] for n in plan.nodes}
    features = pa.table(
        {
            "feature": pa.array(order, pa.string()),
            "place": pa.array(order.values(), pa.int32()),
            "after": pa.array(["after " + ", ".join(waits[f]) for f in order], pa.string()),
        }
    )
    with database() as db:
        db.register("todo", plan.todo)
        db.register("features", features)
        db.register("results", batches(catalogue, {"feature": sorted(open_)}, DETAIL_COLUMNS))
        return db.execute(
            """WITH newest AS (
                SELECT corpus, clip, feature, arg_max(rows, time) AS rows FROM results GROUP BY ALL
            )
            SELECT t.corpus, t.clip, t.feature, t.certain, coalesce(t.reason, f.after) AS reason,
                n.rows
            FROM todo t JOIN features f USING (feature)
            LEFT JOIN newest n USING (corpus, clip, feature)
            ORDER BY t.corpus, t.clip, f.place"""
        ).to_arrow_table()


def groups(rows: pa.Table) -> Iterator[Group]:
    """The clips of a detail one by one or, if they are many, those with the same work together."""
    with database() as db:
        db.register("rows", rows)
        db.execute(
            """CREATE TABLE clips AS
            SELECT corpus, clip, string_agg(feature || ' ' || reason, '; ' ORDER BY feature) AS work
            FROM rows GROUP BY ALL"""
        )
        apart = len(db.execute("SELECT 1 FROM clips LIMIT ?", [CLIPS_APART + 1]).fetchall())
        key = "corpus || '/' || clip" if apart <= CLIPS_APART else "work"
        db.execute(f"CREATE TABLE named AS SELECT *, {key} AS key FROM clips")
        found = db.execute(
            f"""SELECT key, (array_agg(corpus || '/' || clip ORDER BY corpus, clip))[:{NAMED}],
                count(*), min(corpus || '/' || clip) AS first
            FROM named GROUP BY key ORDER BY first"""
        ).fetchall()
        works = db.execute(
            """SELECT n.key, r.feature, r.reason, r.certain, sum(r.rows)::BIGINT
            FROM (SELECT *, row_number() OVER () AS place FROM rows) r
            JOIN named n USING (corpus, clip)
            GROUP BY ALL ORDER BY min(r.place)"""
        ).fetchall()
    by_key: dict[str, list[Work]] = {}
    for name, *fields in works:
        by_key.setdefault(name, []).append(Work(*fields))
    for name, names, clips, _ in found:
        yield Group(tuple(names), clips, tuple(by_key[name]))
