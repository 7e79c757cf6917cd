"""Partitions: batches of clips, each with all that one worker needs to process it."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flows.assets import paths
from flows.plan import Plan
from storage import FeatureStore
from storage.records import Node, Published

#: a partition closes at so many clips or so many seconds of media: what a crash can cost
CLIPS_PER_PARTITION = 25
SECONDS_PER_PARTITION = 600.0
#: assumed for a clip whose headers don't tell its duration
UNKNOWN_SECONDS = 10.0


@dataclass(frozen=True)
class ClipWork:
    """One clip of a partition.

    Attributes:
        sha256, size, mtime_ns: of the file as ingested; another file is refused.
        todo: features that run or may run, in topological order.
        available: feature -> the published result of this configuration that may be read.
        earlier: older results of ``todo`` and of what it reads: for cut-off and reuse.
        attempts: fingerprint -> failed attempts so far.
        assets: role -> path of the clip's further files.
    """

    corpus: str
    clip: str
    uri: str
    start_us: int | None
    stop_us: int | None
    media_key: str
    sha256: str
    size: int
    mtime_ns: int
    attrs: str | None
    seconds: float
    todo: tuple[str, ...]
    available: dict[str, Published] = field(default_factory=dict)
    earlier: tuple[Published, ...] = ()
    attempts: dict[str, int] = field(default_factory=dict)
    assets: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Partition:
    """What one call of ``execute`` processes; picklable, and knows no runner.

    ``earlier_nodes``: extractor key -> node of all configurations so far, to say why it ran.
    """

    id: str
    root: str
    storage_options: dict[str, str]
    nodes: tuple[Node, ...]
    clips: tuple[ClipWork, ...]
    device: str
    run: str
    retry: bool = False
    max_failures: float = 1.0
    earlier_nodes: dict[str, Node] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Media seconds in it: the measure by which partitions are balanced."""
        return sum(c.seconds for c in self.clips)


@dataclass(frozen=True)
class Shard:
    """The share ``number`` of ``count`` of the clips, the same in every process."""

    number: int = 1
    count: int = 1

    @staticmethod
    def parse(text: str) -> Shard:
        """``"2/3"`` -> the second of three (ValueError otherwise)."""
        number, _, count = text.partition("/")
        try:
            shard = Shard(int(number), int(count))
        except ValueError:
            shard = Shard(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise ValueError(f"--shard {text}: write it as i/N with 1 <= i <= N, such as 2/3")
        return shard

    def holds(self, sha256: str) -> bool:
        """True if the clips of that medium are this shard's; cuts of one file stay together."""
        place = int(hashlib.sha256(sha256.encode()).hexdigest()[:12], 16)
        return place % self.count == self.number - 1


def clip_works(store: FeatureStore, plan: Plan, shard: Shard) -> list[ClipWork]:
    """The clips of a plan that have work, with what is known of them."""
    todo: dict[tuple[str, str], set[str]] = defaultdict(set)
    columns = (plan.todo[name].to_pylist() for name in ("corpus", "clip", "feature"))
    for corpus, clip, feature in zip(*columns, strict=True):
        todo[corpus, clip].add(feature)
    if not todo:
        return []
    by_clip: dict[tuple[str, str], list[Published]] = defaultdict(list)
    for row in store.published(clips=sorted({clip for _, clip in todo})):
        by_clip[row.corpus, row.clip].append(row)
    attempts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for failure in store.failures().to_pylist():
        known = attempts[failure["corpus"], failure["clip"]]
        key = failure["fingerprint"]
        known[key] = max(known.get(key, 0), failure["attempts"])
    wanted = {
        (r["corpus"], r["clip"], r["feature"]): r["fingerprint"] for r in plan.wanted.to_pylist()
    }
    works = []
    for row in store.clips().to_pylist():
        key = (row["corpus"], row["clip"])
        if key not in todo or not shard.holds(row["sha256"]):
            continue
        results = by_clip[key]
        available = {
            r.feature: r for r in results if wanted.get((*key, r.feature)) == r.fingerprint
        }
        works.append(
            ClipWork(
                corpus=row["corpus"],
                clip=row["clip"],
                uri=row["uri"],
                start_us=row["start_us"],
                stop_us=row["stop_us"],
                media_key=row["media_key"],
                sha256=row["sha256"],
                size=row["size"],
                mtime_ns=row["mtime_ns"],
                attrs=row["attrs"],
                assets=paths(row["assets"]),
                seconds=row["duration"] or UNKNOWN_SECONDS,
                todo=tuple(n.feature for n in plan.nodes if n.feature in todo[key]),
                available=available,
                earlier=tuple(results),
                attempts=attempts.get(key, {}),
            )
        )
    return works


def cut(works: Sequence[ClipWork], workers: int) -> list[list[ClipWork]]:
    """Batches of clips of about equal media seconds, at least one per worker if there are enough.

    Longest first onto the emptiest batch, so that the last batch to finish is no long clip alone.
    """
    if not works:
        return []
    total = sum(w.seconds for w in works)
    batches = max(
        math.ceil(len(works) / CLIPS_PER_PARTITION),
        math.ceil(total / SECONDS_PER_PARTITION),
        min(workers, len(works)),
    )
    batches = min(batches, len(works))
    groups: list[list[ClipWork]] = [[] for _ in range(batches)]
    filled = [0.0] * batches
    for work in sorted(works, key=lambda w: (-w.seconds, w.corpus, w.clip)):
        open_ = [i for i in range(batches) if len(groups[i]) < CLIPS_PER_PARTITION]
        emptiest = min(open_ or range(batches), key=lambda i: (filled[i], i))
        groups[emptiest].append(work)
        filled[emptiest] += work.seconds
    return [sorted(g, key=lambda w: (w.corpus, w.clip)) for g in groups if g]


def partitions(
    store: FeatureStore,
    plan: Plan,
    groups: Iterable[Sequence[ClipWork]],
    *,
    device: str,
    run: str,
    retry: bool = False,
    max_failures: float = 1.0,
) -> list[Partition]:
    """One ``Partition`` per group of clips."""
    nodes = store.earlier_nodes()
    return [
        Partition(
            id=f"{run}-{i:05d}",
            root=store.root,
            storage_options=dict(store.storage_options),
            nodes=plan.nodes,
            clips=tuple(group),
            device=device,
            run=run,
            retry=retry,
            max_failures=max_failures,
            earlier_nodes=nodes,
        )
        for i, group in enumerate(groups)
    ]
