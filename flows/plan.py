"""The plan: what would run and why, before anything runs. Pure: tables in, tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.absent import NAMES, names_of
from flows.cost import Amount, Cost
from flows.open_results import TODO, Open, OpenResults
from flows.pipeline import with_ancestors
from storage.records import Configuration, Node
from storage.resolve import Catalogue, Resolution, unpacked

#: one number for each clip
Lengths: TypeAlias = NDArray[np.float64]
#: frames per second, where no clip's headers tell any
FRAME_RATE = 25.0


@dataclass
class FeaturePlan:
    """What is to be done of one feature.

    Attributes:
        clips: clips that certainly run; maybe: clips whose input isn't published yet, an upper
            bound; quarantined: clips that failed before and run only on ``retry``.
        blocked: clips for which it, or what it reads, can't be computed on this installation.
        sure, possible: clips, seconds of media and frames of ``clips`` and of ``maybe``.
        reasons: why, over ``clips``.
    """

    quarantined: int = 0
    blocked: int = 0
    sure: Amount = field(default_factory=Amount)
    possible: Amount = field(default_factory=Amount)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        """Clips that certainly run."""
        return self.sure.clips

    @property
    def maybe(self) -> int:
        """Clips whose input isn't published yet."""
        return self.possible.clips

    @property
    def any(self) -> bool:
        """There is something to do, or may be."""
        return bool(self.clips or self.maybe)


@dataclass(frozen=True)
class Plan:
    """What an extract of ``features`` would do.

    Attributes:
        todo: table (corpus, clip, feature, certain, reason) of all that would or may run, feature
            by feature; ``reason`` is null where it isn't certain.
        adopted: table (corpus, clip, feature, fingerprint) of results that are published for
            another clip with the same media: to be recorded, not computed.
        skipped: feature -> why it isn't asked for (missing weights or engine), or for how many
            clips it is left out.
        costs: feature -> what it will take, judged by earlier results.
        standing: table (corpus, clip) of the results that failed earlier, one row for each.
        absent: table (corpus, clip) of clips without a file that lack what was asked.
    """

    configuration: Configuration
    features: tuple[str, ...]
    nodes: tuple[Node, ...]
    by_feature: Mapping[str, FeaturePlan]
    todo: pa.Table
    adopted: pa.Table
    clips: int
    skipped: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    standing: pa.Table = field(default_factory=NAMES.empty_table)
    absent: pa.Table = field(default_factory=NAMES.empty_table)

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
                    "blocked": f.blocked,
                    "reasons": f.reasons,
                }
                for name, f in self.by_feature.items()
            },
            "skipped": dict(self.skipped),
            "absent": list(names_of(self.absent)),
            "bytes": {
                "sure": round(sum(c.bytes for c in self.costs.values())),
                "maybe": round(sum(c.maybe_bytes for c in self.costs.values())),
            },
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
    catalogue: Catalogue,
    failures: pa.Table,
    earlier: Mapping[str, Node],
    *,
    unable: Mapping[str, NDArray[np.bool_]] | None = None,
    only: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Plan:
    """Compare what is wanted with what is published.

    Args:
        features: asked for; what they read is added.
        clips, catalogue, failures: the store's tables; clips whose state isn't ``present`` have
            no file any more and are left out.
        earlier: extractor key -> node, of all configurations that ever ran, for the reasons.
        unable: feature -> clips for which it can't be computed, bool ``(present clips,)``.
        only: likewise, for which clips it is wanted at all; the others are neither done nor
            counted.
    """
    nodes = with_ancestors(configuration, features)
    present = present_clips(clips)
    by_feature = {node.feature: FeaturePlan() for node in nodes}
    adopted, standing = [_ADOPTED.empty_table()], [NAMES.empty_table()]
    blocked: dict[str, NDArray[np.bool_]] = {}
    every = [node.feature for node in configuration.nodes]
    with Resolution(nodes, present, catalogue, failures, also=every) as resolution:
        results = OpenResults(resolution, configuration, failures, present)
        for node in resolution.states():
            results.add(node)
            if only is not None:
                results.leave_out(node, ~only[node.feature])
            causes = [blocked[feature] for _, feature in node.inputs if feature in blocked]
            causes += [unable[node.feature]] if unable and node.feature in unable else []
            if causes:
                blocked[node.feature] = results.leave_out(node, np.logical_or.reduce(causes))
                by_feature[node.feature].blocked = int(blocked[node.feature].sum())
            counts = resolution.db.execute(
                "SELECT state, own, count(*) FROM state GROUP BY ALL"
            ).fetchall()
            for state, own, count in counts:
                if state == "quarantined" and only is None:
                    by_feature[node.feature].quarantined += count
                    standing.append(_standing(resolution))
                elif state == "published" and not own:
                    adopted.append(_adopted(resolution, node))
        results.explain(catalogue, earlier)
    lengths = _lengths(present)
    for entry in results.found:
        _count(by_feature[entry.node.feature], entry, lengths)
    return Plan(
        configuration,
        tuple(features),
        nodes,
        by_feature,
        pa.concat_tables([TODO.empty_table(), *(e.table(present) for e in results.found)]),
        pa.concat_tables(adopted),
        present.num_rows,
        standing=pa.concat_tables(standing),
    )


def present_clips(clips: pa.Table) -> pa.Table:
    """The clips whose file is there."""
    there = pc.equal(clips["state"], "present")
    return clips if pc.all(there).as_py() else clips.filter(there)


def _count(plan: FeaturePlan, entry: Open, lengths: tuple[Lengths, Lengths]) -> None:
    seconds, frames = lengths
    plan.sure, plan.possible = (
        Amount(len(ids), float(seconds[ids].sum()), float(frames[ids].sum()))
        for ids in (entry.ids[entry.certain], entry.ids[~entry.certain])
    )
    numbers = np.bincount(entry.why[entry.certain], minlength=len(entry.reasons))
    plan.reasons = {why: int(n) for why, n in zip(entry.reasons, numbers, strict=True)}


def _lengths(clips: pa.Table) -> tuple[Lengths, Lengths]:
    """Seconds and frames of each clip, as its headers say, else as the others' on average."""
    seconds = _numbers(clips, "duration", 0.0)
    return seconds, seconds * _numbers(clips, "fps", FRAME_RATE)


def _numbers(clips: pa.Table, column: str, otherwise: float) -> Lengths:
    if column not in clips.column_names:
        return np.full(len(clips), otherwise)
    known = pc.fill_null(clips[column].cast(pa.float64()), float("nan"))
    numbers: Lengths = np.array(known.to_numpy())
    missing = np.isnan(numbers)
    numbers[missing] = numbers[~missing].mean() if not missing.all() else otherwise
    return numbers


_ADOPTED = pa.schema([(n, pa.string()) for n in ("corpus", "clip", "feature", "fingerprint")])


def _adopted(resolution: Resolution, node: Node) -> pa.Table:
    rows = resolution.db.execute(
        f"""SELECT corpus, clip, ? AS feature, {unpacked("fingerprint")} AS fingerprint
        FROM state JOIN clips USING (id) WHERE state = 'published' AND NOT own ORDER BY id""",
        [node.feature],
    ).to_arrow_table()
    return rows.cast(_ADOPTED)


def _standing(resolution: Resolution) -> pa.Table:
    rows = resolution.db.execute(
        "SELECT corpus, clip FROM state JOIN clips USING (id) WHERE state = 'quarantined'"
    )
    return rows.to_arrow_table().cast(NAMES)
