"""Partitions: batches of clips, each with all that one worker needs to process it."""

from __future__ import annotations

import heapq
import json
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice

from flows.assets import paths
from flows.backoff import COLUMNS, in_quarantine
from flows.plan import Plan
from flows.shard import Shard
from storage import FeatureStore
from storage.keys import fingerprint, placed
from storage.records import Node, Published

#: a partition closes at so many media, or seconds of them: what a crash can cost
CLIPS_PER_PARTITION = 25
SECONDS_PER_PARTITION = 600.0
#: partitions whose results are read together: each time the whole catalogue may be looked through
PARTITIONS_PER_READ = 160
#: rows turned into Python objects at a time
WORK_ROWS = 16_384
WORK_COLUMNS = (
    *("corpus", "clip", "uri", "start_us", "stop_us", "media_key"),
    *("sha256", "size", "mtime_ns", "attrs", "assets", "duration", "earlier_cuts"),
)
#: the stage of a partition that does all that its clips need
ALL = "all"
#: assumed for a clip whose headers don't tell its duration
UNKNOWN_SECONDS = 10.0


_reading = threading.Lock()


@dataclass(frozen=True)
class ClipWork:
    """One clip of a partition.

    Attributes:
        sha256, size, mtime_ns: of the file as ingested; another file is refused.
        duration: seconds, as its headers say; 0 where they don't.
        todo: features that run or may run, in topological order.
        available: feature -> the published result of this configuration that may be read.
        earlier: older results of ``todo`` and of what it reads: for cut-off and reuse.
        attempts: fingerprint -> failed attempts so far; quarantined: those of them that aren't
            tried again by themselves now.
        assets: role -> path of the clip's further files.
        earlier_cuts: media keys of the file under cuts that the clip had before.
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
    duration: float
    todo: tuple[str, ...]
    available: dict[str, Published] = field(default_factory=dict)
    earlier: tuple[Published, ...] = ()
    attempts: dict[str, int] = field(default_factory=dict)
    quarantined: frozenset[str] = frozenset()
    assets: dict[str, str] = field(default_factory=dict)
    earlier_cuts: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Corpus and clip."""
        return self.corpus, self.clip

    @property
    def seconds(self) -> float:
        """Media seconds to balance partitions by."""
        return self.duration or UNKNOWN_SECONDS


@dataclass(frozen=True)
class Partition:
    """What one call of ``execute`` processes; picklable, and knows no runner.

    Attributes:
        device: where ``gpu`` extractors compute: auto, cpu or cuda, of the worker's machine.
        earlier_nodes: extractor key -> node of all configurations so far, to say why it ran.
        stage: what it does of its clips, see ``flows.stages``.
        follows: partitions whose results it may read; it starts once they are over.
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
    stage: str = ALL
    follows: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Media seconds in it: the measure by which partitions are balanced."""
        return sum(c.seconds for c in self.clips)


def clip_works(store: FeatureStore, plan: Plan, shard: Shard) -> list[ClipWork]:
    """The clips of a plan that have work, without their results: see ``loaded``."""
    todo = _todo(plan)
    if not todo:
        return []
    works = []
    for batch in store.clips(columns=WORK_COLUMNS).to_batches(WORK_ROWS):
        for row in batch.to_pylist():
            key = (row["corpus"], row["clip"])
            if key not in todo or not shard.holds(row["sha256"]):
                continue
            duration, assets = row.pop("duration") or 0.0, paths(row.pop("assets"))
            cuts = tuple(row.pop("earlier_cuts", None) or ())
            works.append(
                ClipWork(**row, duration=duration, todo=todo[key], assets=assets, earlier_cuts=cuts)
            )
    return works


def _todo(plan: Plan) -> dict[tuple[str, str], tuple[str, ...]]:
    """Corpus and clip -> what is to do, in topological order; equal tuples are kept once."""
    places: dict[tuple[str, str], int] = {}
    for chunk in plan.todo.to_batches(WORK_ROWS):
        names = (chunk.column(name).to_pylist() for name in ("corpus", "clip", "feature"))
        bits = {node.feature: 1 << i for i, node in enumerate(plan.nodes)}
        for corpus, clip, feature in zip(*names, strict=True):
            places[corpus, clip] = places.get((corpus, clip), 0) | bits[feature]
    order = [node.feature for node in plan.nodes]
    sets = {m: tuple(f for i, f in enumerate(order) if m >> i & 1) for m in {*places.values()}}
    return {key: sets[mask] for key, mask in places.items()}


def loaded(store: FeatureStore, made: Iterable[Partition]) -> Iterator[Partition]:
    """Partitions with what is published of their clips, read for some of them at a time."""
    waiting = iter(made)
    while some := list(islice(waiting, PARTITIONS_PER_READ)):
        with _reading:
            known = _known(store, sorted({w.clip for p in some for w in p.clips}))
        for partition in some:
            yield replace(
                partition,
                clips=tuple(
                    replace(
                        work,
                        available=_available(partition.nodes, work, known.results[work.key]),
                        earlier=tuple(known.results[work.key]),
                        attempts=known.attempts[work.key],
                        quarantined=frozenset(known.quarantined[work.key]),
                    )
                    for work in partition.clips
                ),
            )


def handed(partition: Partition, results: Iterable[Published]) -> Partition:
    """The partition with what the ones that it follows have published since it was loaded."""
    fresh: dict[tuple[str, str], list[Published]] = defaultdict(list)
    for result in results:
        fresh[result.corpus, result.clip].append(result)
    works = []
    for work in partition.clips:
        known = (*work.earlier, *fresh[work.key])
        found = _available(partition.nodes, work, known)
        works.append(replace(work, available=found, earlier=known))
    return replace(partition, clips=tuple(works))


@dataclass(frozen=True)
class _Known:
    """By corpus and clip: published results, oldest first; see ``ClipWork`` for the others."""

    results: dict[tuple[str, str], list[Published]]
    attempts: dict[tuple[str, str], dict[str, int]]
    quarantined: dict[tuple[str, str], set[str]]


def _known(store: FeatureStore, clips: Sequence[str]) -> _Known:
    found = _Known(defaultdict(list), defaultdict(dict), defaultdict(set))
    for result in store.published(clips=clips):
        found.results[result.corpus, result.clip].append(result)
    failures = store.snapshot["failures"].read({"clip": clips}, COLUMNS)
    for failure in failures.to_pylist():
        known = found.attempts[failure["corpus"], failure["clip"]]
        key = failure["fingerprint"]
        known[key] = max(known.get(key, 0), failure["attempts"])
    if failures.num_rows:
        for failure in in_quarantine(failures).to_pylist():
            found.quarantined[failure["corpus"], failure["clip"]].add(failure["fingerprint"])
    return found


def _available(
    nodes: Sequence[Node], work: ClipWork, results: Sequence[Published]
) -> dict[str, Published]:
    """Feature -> the published result that the nodes want of the clip now."""
    attrs = json.loads(work.attrs) if work.attrs else {}
    by_key = {(r.feature, r.fingerprint): r for r in results}
    newest = {r.feature: r for r in results}
    contents = {f: placed(r) for f, r in newest.items() if f not in {n.feature for n in nodes}}
    found: dict[str, Published] = {}
    for node in nodes:
        if all(feature in contents for _, feature in node.inputs):
            wanted = fingerprint(node, work.media_key, attrs, contents)
            result = by_key.get((node.feature, wanted))
            if result is not None:
                found[node.feature] = result
                contents[node.feature] = placed(result)
    return found


def cut(works: Sequence[ClipWork], workers: int) -> list[list[ClipWork]]:
    """Batches of clips of about equal media seconds, at least one per worker if there are enough.

    Longest first onto the emptiest batch, so that the last batch to finish is no long clip alone.
    The cuts of a recording stay together where that leaves enough batches, so that what reads the
    whole of it does so once; names of one medium always do, and count as one clip.
    """
    if not works:
        return []
    total = sum(w.seconds for w in works)
    media = len({(w.sha256, w.media_key) for w in works})
    batches = max(
        math.ceil(media / CLIPS_PER_PARTITION),
        math.ceil(total / SECONDS_PER_PARTITION),
        min(workers, media),
    )
    batches = min(batches, media)
    groups: list[list[list[ClipWork]]] = [[] for _ in range(batches)]
    emptiest = [(0.0, i) for i in range(batches)]
    for together in _recordings(works, max(1, media // batches)):
        while together:
            filled, i = heapq.heappop(emptiest)
            room = CLIPS_PER_PARTITION - len(groups[i])
            groups[i] += together[:room]
            filled += _seconds(together[:room])
            together = together[room:]
            if len(groups[i]) < CLIPS_PER_PARTITION:
                heapq.heappush(emptiest, (filled, i))
    ordered = [_in_order([work for names in g for work in names]) for g in groups if g]
    # a process that has read one stretch of a recording goes on with the next
    return sorted(ordered, key=lambda g: (g[0].corpus, g[0].uri, _start(g[0])))


def _recordings(works: Sequence[ClipWork], most: int) -> list[list[list[ClipWork]]]:
    """The media of each recording together, at most so many; longest first.

    A medium is all of its names: what they have in common is computed once in a partition.
    """
    found: dict[str, list[ClipWork]] = defaultdict(list)
    for work in sorted(works, key=lambda w: (-w.seconds, w.corpus, w.clip)):
        found[work.sha256].append(work)
    pieces = [piece for clips in found.values() for piece in _pieces(clips, most)]
    return sorted(pieces, key=lambda piece: -_seconds(piece))


def _pieces(clips: Sequence[ClipWork], most: int) -> list[list[list[ClipWork]]]:
    """A recording's media as they come in it, at most so many together."""
    ordered = sorted(clips, key=_stretch)
    media = [list(names) for _, names in groupby(ordered, key=lambda w: w.media_key)]
    return [media[i : i + most] for i in range(0, len(media), most)]


def _seconds(media: Sequence[Sequence[ClipWork]]) -> float:
    return sum(work.seconds for names in media for work in names)


def _stretch(work: ClipWork) -> tuple[int, str, str, str]:
    start, corpus, clip = _start(work)
    return start, work.media_key, corpus, clip


def _in_order(group: Sequence[ClipWork]) -> list[ClipWork]:
    """By clip, those of a recording one after the other, as they come in it."""
    ordered = sorted(group, key=lambda w: (w.corpus, w.clip))
    first: dict[str, int] = {}
    for place, work in enumerate(ordered):
        first.setdefault(work.sha256, place)
    return sorted(ordered, key=lambda w: (first[w.sha256], _start(w)))


def _start(work: ClipWork) -> tuple[int, str, str]:
    return work.start_us or 0, work.corpus, work.clip


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
    """One ``Partition`` per group of clips, without their results: see ``loaded``."""
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
