"""What a plan will cost, from the seconds that the catalogue has of earlier results."""

from __future__ import annotations

from collections import defaultdict
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

    The same extractor's results tell, if it has any, else those of others for the feature.

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
            """SELECT feature, extractor_key, sum(bytes) / sum(duration),
                coalesce(sum(seconds) FILTER (computed = rows), 0),
                coalesce(sum(duration) FILTER (computed = rows), 0),
                coalesce(sum(seconds) FILTER (computed > 0), 0),
                coalesce(sum(duration * computed / rows) FILTER (computed > 0), 0)
            FROM catalogue JOIN clips USING (corpus, clip)
            WHERE rows > 0 AND duration > 0 GROUP BY feature, extractor_key"""
        ).fetchall()
    taken = defaultdict[str, list[_Taken]](list)
    for feature, *facts in found:
        key, size, seconds, media, *some = facts
        taken[feature].append(_Taken(key, size, (seconds, media), (some[0], some[1])))
    return {n.feature: _cost(n, by_feature[n.feature], taken[n.feature]) for n in todo}


@dataclass(frozen=True)
class _Taken:
    """What one extractor took so far for a feature.

    Attributes:
        size: bytes for a second of media.
        whole: seconds of work and of media, of clips all of whose rows were computed; some: of
            all clips and the share of their rows that was computed.
    """

    key: str
    size: float
    whole: tuple[float, float]
    some: tuple[float, float]


def _cost(node: Node, plan: FeaturePlan, taken: Sequence[_Taken]) -> Cost:
    own = [t for t in taken if t.key == node.extractor_key]
    # a clip is decoded for its last changed row as for all of them: whole clips tell better
    ways = ([t.whole for t in own], [t.whole for t in taken], [t.some for t in taken])
    sums = (tuple(map(sum, zip(*way, strict=True))) for way in ways if way)
    rate = next((seconds / media for seconds, media in sums if media), None)
    return Cost(
        declaration_of(node.feature).device,
        (rate or 0.0) * plan.sure.seconds,
        (rate or 0.0) * plan.possible.seconds,
        rate is not None,
        *(
            own[0].size * amount.seconds if own else _declared(node.feature, amount)
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
