"""What a plan will cost, from the seconds that the catalogue has of earlier results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from features.registry import declaration_of, feature_specs
from storage.database import database
from storage.resolve import Catalogue, batches

if TYPE_CHECKING:
    from flows.plan import FeaturePlan

COST_COLUMNS = ("corpus", "clip", "feature", "rows", "computed", "seconds")


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


def estimate(
    by_feature: Mapping[str, FeaturePlan], clips: pa.Table, catalogue: Catalogue
) -> dict[str, Cost]:
    """Feature -> cost of what is to do: seconds per media second so far, times media seconds.

    Args:
        clips: corpus, clip, duration.
        catalogue: corpus, clip, feature, rows, computed, seconds.
    """
    here = feature_specs()
    todo = [
        name for name, plan in by_feature.items() if name in here and (plan.clips or plan.maybe)
    ]
    if not todo:
        return {}
    with database() as db:
        db.register("clips", clips.select(["corpus", "clip", "duration"]))
        db.register("catalogue", batches(catalogue, {"feature": todo}, COST_COLUMNS))
        rates: dict[str, float] = dict(
            db.execute(
                """SELECT feature, sum(seconds) / sum(duration * computed / rows)
                FROM catalogue JOIN clips USING (corpus, clip)
                WHERE computed > 0 AND rows > 0 AND duration > 0 GROUP BY feature"""
            ).fetchall()
        )
    return {
        name: Cost(
            declaration_of(name).device,
            rates.get(name, 0.0) * by_feature[name].seconds,
            rates.get(name, 0.0) * by_feature[name].maybe_seconds,
            name in rates,
        )
        for name in todo
    }
