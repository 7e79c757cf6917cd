"""One partition's work: a plain function that knows neither Prefect nor Dask."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from features.engine import Step, run_clip
from features.errors import MediaError
from features.freed_memory import keep_freed_memory
from features.media.media import Media
from features.media.recording import Recording
from features.registry import declarations
from features.stopping import Stopped, may_stop
from features.together import Together
from features.watching import Seen, watched
from flows.assets import Assets, attributes
from flows.clip_host import ClipHost, Reason, Twins
from flows.clip_parts import Writers
from flows.device import find_device
from flows.media_settings import keeps_truncated
from flows.original import Original
from flows.partition import ClipWork, Partition
from flows.pipeline import instantiate
from flows.recordings import recordings
from storage import FeatureStore
from storage.keys import MICROSECONDS
from storage.records import Failure, Node, Published

#: fixed for every runner, since the number of threads can change the last bit of a sum
TORCH_THREADS = 1

#: told of a clip and of the share of it that is done, 0..1
Told = Callable[[ClipWork, float], None]
#: a clip that is decoded to its end isn't done yet
MOST_OF_A_CLIP = 0.95

#: set to make ``execute`` stop at the next batch of frames with what is done so far
stop_requested = threading.Event()
#: runs that were asked to stop: a process may serve several, one after the other or at once
_stopped: set[str] = set()


@dataclass
class Results:
    """What one partition gave: catalogue rows to commit, failures, and counts.

    Attributes:
        reasons: (feature, why it was computed, counts), one per result.
        cut_off: results that turned out to be published already once their input was known.
        adopted: (corpus, clip, feature) of those of ``published`` that were computed for another
            name of the same medium.
        quarantined: extractors left out, for what they failed at before is what they'd read now.
        interrupted: it stopped early, on request; what is here is whole.
    """

    partition: str
    published: list[Published] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    reasons: list[tuple[str, str, Reason]] = field(default_factory=list)
    cut_off: int = 0
    adopted: set[tuple[str, str, str]] = field(default_factory=set)
    quarantined: int = 0
    clips: int = 0
    seconds: float = 0.0
    interrupted: bool = False


def execute(partition: Partition, told: Told | None = None) -> Results:
    """Compute what is missing of each clip, write one part per feature, return the rows.

    Nothing is visible to readers until the caller commits the rows. A failing clip becomes a
    ``Failure``; an error of the store itself (no space, no permission) is raised. ``told`` is
    called with the share of a clip that is done: 1 after it, though rows may still wait for other
    clips to fill a batch; less in the middle of it.
    """
    _fix_threads()
    keep_freed_memory()
    partition = replace(partition, device=find_device(partition.device))
    store = FeatureStore.open(partition.root, storage_options=partition.storage_options)
    results = Results(partition.id)
    started = time.perf_counter()
    with (
        Writers(store, partition.nodes) as writers,
        _released(partition.nodes),
        recordings(partition.clips) as shared,
    ):

        def check() -> None:
            if stop_requested.is_set() or partition.run in _stopped:
                raise Stopped

        together = Together(check)
        hosts: list[ClipHost] = []
        twins, begun = _twins(partition), set[str]()
        try:
            for work in partition.clips:
                check()
                if work.media_key in begun:
                    # what waits for a full batch may be the same
                    together.finish()
                begun.add(work.media_key)
                hosts.append(ClipHost(store, partition, work, writers, twins.get(work.media_key)))
                with may_stop(check), watched(_share_of(work, told)):
                    _run(partition, work, hosts[-1], shared.of(work), together, check)
                results.clips += 1
                if told is not None:
                    told(work, 1.0)
            together.finish()
        except (Stopped, KeyboardInterrupt):
            results.interrupted = True
        for host in hosts:
            host.abort()
            results.published += host.published
            results.failures += host.failures
            results.reasons += host.reasons
            results.cut_off += host.cut_off
            results.adopted |= {
                (r.corpus, r.clip, r.feature) for r in host.published if r.feature in host.adopted
            }
            results.quarantined += host.quarantined
        writers.close()
    results.seconds = time.perf_counter() - started
    return results


def _twins(partition: Partition) -> dict[str, Twins]:
    """Media key -> room for what clips of one medium have in common, where it has several names."""
    names = Counter(work.media_key for work in partition.clips)
    return {key: {} for key, count in names.items() if count > 1}


def _share_of(work: ClipWork, told: Told | None) -> Seen:
    """What tells the clip's share from the seconds of it that a pass has come to."""

    def seen(seconds: float) -> None:
        if told is not None:
            # a clip may need another pass, and headers may say too little
            told(work, min(seconds / work.seconds, MOST_OF_A_CLIP))

    return seen


def _run(
    partition: Partition,
    work: ClipWork,
    host: ClipHost,
    recording: Recording | None,
    together: Together,
    check: Callable[[], None],
) -> None:
    steps = [
        Step(
            declarations()[group[0].extractor],
            instantiate(group[0], partition.device),
            dict(group[0].inputs),
            tuple(n.feature for n in group),
        )
        for group in _by_extractor(partition.nodes, work.todo)
    ]
    original = Original(work.uri, work.sha256, work.size, work.mtime_ns)
    try:
        media = open_media(work, original, recording, keeps_truncated(partition.nodes))
        host.original = original
    except MediaError as error:
        for step in steps:
            if step.declaration.reads != "none" and all(map(host.has, step.inputs.values())):
                host.fail(step, error)
        steps = [s for s in steps if s.declaration.reads == "none"]
        media = Media(
            work.uri, assets=Assets(work.assets, work.attrs), attrs=attributes(work.attrs)
        )
    run_clip(
        media,
        steps,
        host,
        check=check,
        side_by_side=partition.device == "cpu",
        together=together,
    )


@contextmanager
def _released(nodes: tuple[Node, ...]) -> Iterator[None]:
    """What extractors keep from clip to clip goes with the block."""
    try:
        yield
    finally:
        # results of what isn't installed here may be read
        for name in {node.extractor for node in nodes} & declarations().keys():
            declarations()[name].release()


def stop_run(run: str) -> None:
    """Let this process stop at the next batch of frames whatever belongs to that run."""
    _stopped.add(run)


def open_media(
    work: ClipWork, original: Original, recording: Recording | None, keep_truncated: bool
) -> Media:
    """The clip's medium, after a look that it is still the file that was ingested.

    ``keep_truncated``: what is there of a file that stops in the middle is read.

    Raises:
        MediaError: gone, or its content is another one now (ingest it again).
    """
    media = Media(
        work.uri,
        None if work.start_us is None else work.start_us / MICROSECONDS,
        None if work.stop_us is None else work.stop_us / MICROSECONDS,
        truncated="keep" if keep_truncated else "fail",
        assets=Assets(work.assets, work.attrs),
        attrs=attributes(work.attrs),
        recording=recording,
    )
    media.probe  # noqa: B018  raises what is wrong with the file, before any decoder starts
    original.check()
    return media


def _by_extractor(nodes: tuple[Node, ...], todo: tuple[str, ...]) -> list[list[Node]]:
    """The nodes that are to do, those of one extractor together, in topological order."""
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        if node.feature in todo:
            groups.setdefault(node.extractor, []).append(node)
    return list(groups.values())


def _fix_threads() -> None:
    import torch

    if torch.get_num_threads() != TORCH_THREADS:
        torch.set_num_threads(TORCH_THREADS)
