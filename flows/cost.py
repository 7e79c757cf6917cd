"""What a plan will cost, from the seconds that the catalogue has of earlier results."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from features.registry import declaration_of


@dataclass(frozen=True)
class Cost:
    """Seconds of work on one feature; ``maybe`` is what its ``maybe`` clips cost at most.

    Attributes:
        device: ``cpu`` or ``gpu``, where the extractor runs best.
        known: there are earlier results to judge by; otherwise the seconds are 0.
    """

    device: str
    seconds: float
    maybe: float
    known: bool


def estimate(todo: pa.Table, clips: pa.Table, catalogue: pa.Table) -> dict[str, Cost]:
    """Feature -> cost of the plan's ``todo``: seconds per media second so far, times what is to do.

    Args:
        todo: corpus, clip, feature, certain. clips: corpus, clip, duration.
        catalogue: corpus, clip, feature, rows, computed, seconds.
    """
    with duckdb.connect() as db:
        db.register("todo", todo)
        db.register("clips", clips.select(["corpus", "clip", "duration"]))
        columns = ["corpus", "clip", "feature", "rows", "computed", "seconds"]
        db.register("catalogue", catalogue.select(columns))
        rows = db.execute(
            """WITH rates AS (
                SELECT feature, sum(seconds) / sum(duration * computed / rows) AS rate
                FROM catalogue JOIN clips USING (corpus, clip)
                WHERE computed > 0 AND rows > 0 AND duration > 0 GROUP BY feature
            ), length AS (SELECT coalesce(avg(duration), 0) AS usual FROM clips)
            SELECT t.feature, any_value(r.rate),
                sum(coalesce(c.duration, usual)) FILTER (WHERE t.certain),
                sum(coalesce(c.duration, usual)) FILTER (WHERE NOT t.certain)
            FROM todo t JOIN clips c USING (corpus, clip) LEFT JOIN rates r USING (feature)
            CROSS JOIN length GROUP BY t.feature"""
        ).fetchall()
    return {
        feature: Cost(
            declaration_of(feature).device,
            (rate or 0.0) * (sure or 0.0),
            (rate or 0.0) * (maybe or 0.0),
            rate is not None,
        )
        for feature, rate, sure, maybe in rows
    }
