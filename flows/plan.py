"""The plan: what would run and why, before anything runs. Pure: tables in, tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from flows.cost import Cost
from flows.pipeline import with_ancestors
from flows.reasons import DAMAGED, NEW_CLIP, NEW_FEATURE, reason
from storage.records import Configuration, Node
from storage.repair import PREFIX as DAMAGED_PREFIX
from storage.resolve import resolve


@dataclass
class FeaturePlan:
    """What is to be done of one feature.

    Attributes:
        clips: clips that certainly run; maybe: clips whose input isn't published yet, an upper
            bound; quarantined: clips that failed before and run only on ``retry``.
        reasons: why, over ``clips``.
    """

    clips: int = 0
    maybe: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What an extract of ``features`` would do.

    Attributes:
        todo: table (corpus, clip, feature, certain) of all that would or may run.
        wanted: table (corpus, clip, feature, fingerprint) of all that is published already.
        adopted: table (corpus, clip, feature, fingerprint) of results that are published for
            another clip with the same media: to be recorded, not computed.
        skipped: feature -> why it isn't asked for (missing weights or engine).
        costs: feature -> what it will take, judged by earlier results.
    """

    configuration: Configuration
    features: tuple[str, ...]
    nodes: tuple[Node, ...]
    by_feature: Mapping[str, FeaturePlan]
    todo: pa.Table
    wanted: pa.Table
    adopted: pa.Table
    clips: int
    skipped: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        """(clip, feature) results that certainly run."""
        return sum(f.clips for f in self.by_feature.values())

    @property
    def maybe(self) -> int:
        """(clip, feature) results that run if what they read turns out changed."""
        return sum(f.maybe for f in self.by_feature.values())

    @property
    def quarantined(self) -> int:
        """(clip, feature) results that failed earlier and aren't tried again unasked."""
        return sum(f.quarantined for f in self.by_feature.values())

    def to_json(self) -> dict[str, object]:
        """The facts, for ``plan --json``."""
        return {
            "tasks": self.tasks,
            "maybe": self.maybe,
            "quarantined": self.quarantined,
            "clips": self.clips,
            "by_feature": {
                name: {
                    "clips": f.clips,
                    "maybe": f.maybe,
                    "quarantined": f.quarantined,
                    "reasons": f.reasons,
                }
                for name, f in self.by_feature.items()
            },
            "skipped": dict(self.skipped),
            "estimate": {
                device: {
                    "seconds": round(sum(c.seconds for c in costs), 3),
                    "maybe_seconds": round(sum(c.maybe for c in costs), 3),
                    "known": all(c.known for c in costs),
                }
                for device in ("cpu", "gpu")
                if (costs := [c for c in self.costs.values() if c.device == device])
            },
        }


def make_plan(
    configuration: Configuration,
    features: Sequence[str],
    clips: pa.Table,
    catalogue: pa.Table,
    failures: pa.Table,
    earlier: Mapping[str, Node],
    *,
    skipped: Mapping[str, str] | None = None,
) -> Plan:
    """Compare what is wanted with what is published.

    Args:
        features: asked for; what they read is added.
        clips, catalogue, failures: the store's tables; clips whose state is ``missing`` have no
            file any more and are left out.
        earlier: extractor key -> node, of all configurations that ever ran, for the reasons.
        skipped: feature -> why it was left out of ``features``.
    """
    nodes = with_ancestors(configuration, features)
    with duckdb.connect() as db:
        db.register("all_clips", clips)
        present = db.execute("SELECT * FROM all_clips WHERE state = 'present'").to_arrow_table()
        db.register("present", present)
        db.register("resolved", resolve(nodes, present, catalogue, failures))
        db.register("keys", _keys(nodes))
        db.register("failed", failures.select(["corpus", "clip", "feature", "fingerprint"]))
        db.register("every_result", catalogue.select(["corpus", "clip", "feature"]))
        db.register("every_node", _keys(configuration.nodes))
        db.execute(
            """CREATE TABLE published_clips AS
            SELECT DISTINCT corpus, clip FROM every_result JOIN every_node USING (feature)"""
        )
        db.execute(
            """CREATE TABLE open AS SELECT r.*, r.fingerprint IS NOT NULL AS certain
            FROM resolved r WHERE r.state IN ('stale', 'missing')"""
        )
        by_feature = {node.feature: FeaturePlan() for node in nodes}
        for name, state, certain, n in db.execute(
            """SELECT feature, state, fingerprint IS NOT NULL, count(*) FROM resolved
            WHERE state <> 'published' GROUP BY ALL"""
        ).fetchall():
            plan = by_feature[name]
            if state == "quarantined":
                plan.quarantined += n
            elif certain:
                plan.clips += n
            else:
                plan.maybe += n
        for name, previous, reads, media, fresh, n in db.execute(_REASONS).fetchall():
            node = next(x for x in nodes if x.feature == name)
            why = reason(
                node, previous, media_changed=reads and media, fresh=fresh, earlier=earlier
            )
            reasons = by_feature[name].reasons
            reasons[why] = reasons.get(why, 0) + n
        todo = db.execute("SELECT corpus, clip, feature, certain FROM open").to_arrow_table()
        wanted = db.execute(
            """SELECT corpus, clip, feature, fingerprint FROM resolved
            JOIN (SELECT DISTINCT corpus, clip FROM open) USING (corpus, clip)
            WHERE state = 'published'"""
        ).to_arrow_table()
        adopted = db.execute(
            """SELECT corpus, clip, feature, fingerprint FROM resolved
            WHERE state = 'published' AND NOT own"""
        ).to_arrow_table()
    return Plan(
        configuration,
        tuple(features),
        nodes,
        by_feature,
        todo,
        wanted,
        adopted,
        present.num_rows,
        dict(skipped or {}),
    )


_REASONS = f"""
SELECT o.feature, o.previous_extractor_key, k.reads_media,
    coalesce(o.previous_media_key <> c.media_key, false) AS media_changed,
    CASE WHEN EXISTS (SELECT 1 FROM failed f WHERE f.corpus = o.corpus AND f.clip = o.clip
            AND f.feature = o.feature AND f.fingerprint = '{DAMAGED_PREFIX}' || o.fingerprint)
        THEN '{DAMAGED}'
        WHEN o.state <> 'missing' THEN ''
        WHEN EXISTS (SELECT 1 FROM published_clips p WHERE p.corpus = o.corpus AND p.clip = o.clip)
        THEN '{NEW_FEATURE}' ELSE '{NEW_CLIP}' END AS fresh,
    count(*)
FROM open o JOIN keys k USING (feature) JOIN present c USING (corpus, clip)
WHERE o.certain GROUP BY ALL
"""


def _keys(nodes: Sequence[Node]) -> pa.Table:
    return pa.table(
        {
            "feature": pa.array([n.feature for n in nodes], pa.string()),
            "reads_media": pa.array([n.reads_media for n in nodes], pa.bool_()),
        }
    )
