"""What a plan will cost, from the seconds that the catalogue has of earlier results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from features.registry import declaration_of, feature_specs
from storage.database import database
from storage.records import Node
from storage.resolve import Catalogue, batches

if TYPE_CHECKING:
    from flows.plan import FeaturePlan

COST_COLUMNS = (
    *("corpus", "clip", "feature", "extractor_key"),
    *("rows", "computed", "seconds", "bytes"),
)
#: assumed where nothing of a feature is published yet: ``audio_16k``'s samples, and one item (face)
#: in each row of a ragged feature
SAMPLES_PER_SECOND, ITEMS = 16_000, 1
#: of a row's validity and digest
FLAG_BYTES = 9


@dataclass(frozen=True)
class Cost:
    """Seconds of work on one feature; ``maybe`` is what its ``maybe`` clips cost at most.

    Attributes:
        device: ``cpu`` or ``gpu``, where the extractor runs best.
        known: there are earlier results to judge by; otherwise the seconds are 0.
        bytes, maybe_bytes: that the store will take: as much for a second of media as results of
            these very parameters took, else as the declaration says, unpacked.
    """

    device: str
    seconds: float
    maybe: float
    known: bool
    bytes: float
    maybe_bytes: float


@dataclass
class Amount:
    """What a feature is to be computed of."""

    clips: int = 0
    seconds: float = 0.0
    frames: float = 0.0


def estimate(
    by_feature: Mapping[str, FeaturePlan],
    nodes: Sequence[Node],
    clips: pa.Table,
    catalogue: Catalogue,
) -> dict[str, Cost]:
    """Feature -> cost of what is to do: per media second so far, times media seconds.

    Args:
        clips: corpus, clip, duration.
        catalogue: with ``COST_COLUMNS``.
    """
    here = feature_specs()
    todo = [n for n in nodes if n.feature in here and by_feature[n.feature].any]
    if not todo:
        return {}
    with database() as db:
        db.register("clips", clips.select(["corpus", "clip", "duration"]))
        names = [node.feature for node in todo]
        db.register("catalogue", batches(catalogue, {"feature": names}, COST_COLUMNS))
        found = db.execute(
            """SELECT feature, extractor_key,
                sum(seconds) FILTER (computed > 0) AS seconds,
                sum(duration * computed / rows) FILTER (computed > 0) AS computed,
                sum(bytes) AS bytes, sum(duration) AS duration
            FROM catalogue JOIN clips USING (corpus, clip)
            WHERE rows > 0 AND duration > 0 GROUP BY feature, extractor_key"""
        ).fetchall()
    taken: dict[str, tuple[float, float]] = {}
    sizes: dict[tuple[str, str], float] = {}
    for feature, key, seconds, computed, size, duration in found:
        before = taken.get(feature, (0.0, 0.0))
        taken[feature] = (before[0] + (seconds or 0.0), before[1] + (computed or 0.0))
        sizes[feature, key] = size / duration
    return {
        node.feature: _cost(
            node,
            by_feature[node.feature],
            taken.get(node.feature, (0.0, 0.0)),
            sizes.get((node.feature, node.extractor_key)),
        )
        for node in todo
    }


def _cost(node: Node, plan: FeaturePlan, taken: tuple[float, float], size: float | None) -> Cost:
    seconds, computed = taken
    rate = seconds / computed if computed else 0.0
    return Cost(
        declaration_of(node.feature).device,
        rate * plan.sure.seconds,
        rate * plan.possible.seconds,
        computed > 0,
        *(
            _declared(node.feature, amount) if size is None else size * amount.seconds
            for amount in (plan.sure, plan.possible)
        ),
    )


def _declared(feature: str, amount: Amount) -> float:
    """Bytes of a feature of which nothing like it is published yet."""
    spec = feature_specs()[feature]
    rows = {
        "frame": amount.frames,
        "segment": amount.seconds / spec.every,
        "sample": amount.seconds * SAMPLES_PER_SECOND,
        "clip": amount.clips,
    }[spec.rate]
    items = ITEMS if spec.ragged else 1
    return rows * (items * spec.row_bytes + FLAG_BYTES / spec.block)
