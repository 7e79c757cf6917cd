"""The coordinator of a run: hands partitions to the runner and commits what comes back."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, as_completed
from dataclasses import dataclass, replace
from itertools import islice

from features.spelling import shortened
from flows import backoff
from flows.execute import Results
from flows.partition import Partition, handed, loaded
from flows.runners import Runner, WorkerDied
from flows.stages import by_stage, place_of
from flows.summary import Progress, Summary
from storage import FeatureStore, StoreError, StoreUnreachable
from storage.records import Failure, Published
from storage.withdrawn import commit_kept

#: attempts at a partition whose worker died or whose store failed for a moment
PARTITION_ATTEMPTS = 3
#: clips after which a run can be judged to go wrong everywhere (``max_failures``)
CLIPS_TO_JUDGE = 10
#: seconds until a commit is tried again when the store doesn't answer
COMMIT_PAUSES = (5.0, 20.0, 60.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Try:
    """A partition on its way.

    Attributes:
        origin: the planned one that it is, or is a piece of.
        alone: nothing else runs meanwhile, so that if its worker dies, it was this one's fault.
    """

    partition: Partition
    origin: str
    attempt: int = 1
    alone: bool = False


class Coordinator:
    """Executes partitions of one run and commits each; several threads may share it.

    Args:
        made: all partitions of the run, to know which results others will read.
        summary: gets the counts; ``summary.lost`` is kept up to date.
    """

    def __init__(
        self,
        store: FeatureStore,
        made: Sequence[Partition],
        on: Runner,
        summary: Summary,
        progress: Progress,
    ) -> None:
        self._store, self._on, self._summary, self._progress = store, on, summary, progress
        self._read = {origin for p in made for origin in p.follows}
        self._handed: dict[str, list[Published]] = {}
        self._committed: set[str] = set()
        self._lost: dict[str, str] = {}
        self._lock = threading.Lock()
        self._room = _Room()

    def run(self, made: Sequence[Partition]) -> list[str]:
        """Execute partitions, those that are committed already left out.

        What a partition follows must be among ``made``, or over.

        Returns:
            Why partitions were lost; the others are published.
        """
        batch = _Batch(self._store, [p for p in made if p.id not in self._committed])
        for partition in made:
            self._lost.pop(partition.id, None)
        running: dict[Future[Results], _Try] = {}
        while True:
            if not self._summary.interrupted:
                self._fill(batch, running)
            if not running:
                break
            future = next(as_completed(running))
            tried = running.pop(future)
            batch.over(tried, self._take(tried, future))
            if not batch.open[tried.origin]:
                for origin in tried.partition.follows:
                    self._handed.pop(origin, None)
        return [self._lost[p.id] for p in made if p.id in self._lost]

    def _fill(self, batch: _Batch, running: dict[Future[Results], _Try]) -> None:
        """Submit what is ready, twice as much as there are workers of its kind."""
        busy = Counter(place_of(t.partition) for t in running.values())
        for queue in batch.queues:
            place = queue.place
            while busy[place] < 2 * slots(self._on, place) and (tried := queue.next(batch.open)):
                future = self._submit(tried)
                running[future] = tried
                busy[place] += 1
                if future.done():
                    return
        if not running and (suspect := batch.suspect()):
            running[self._submit(suspect)] = suspect

    def _submit(self, tried: _Try) -> Future[Results]:
        """Hand a partition to the runner, once it has the room that it needs."""
        self._room.enter(tried.alone)
        try:
            future = self._on.submit(self._ready(tried.partition))
        except BaseException:
            self._room.leave()
            raise
        future.add_done_callback(lambda _: self._room.leave())
        return future

    def _ready(self, partition: Partition) -> Partition:
        """With the results that were published for it to read."""
        with self._lock:
            results = [r for origin in partition.follows for r in self._handed.get(origin, ())]
        return handed(partition, results) if partition.follows else partition

    def _take(self, tried: _Try, future: Future[Results]) -> list[_Try]:
        """Commit what a partition gave; what is to be tried again, if anything is."""
        partition = tried.partition
        try:
            results = future.result()
        except CancelledError:
            self._summary.interrupted = True
            return []
        except Exception as error:
            transient = isinstance(error, WorkerDied | OSError | StoreUnreachable)
            if transient and tried.attempt < PARTITION_ATTEMPTS and not _at_fault(tried, error):
                return _again(tried, error)
            died = backoff.lost(partition, str(error)) if isinstance(error, WorkerDied) else []
            if not died:
                self._lose(tried, error)
                return []
            results = Results(partition.id, failures=died, clips=len(partition.clips))
        try:
            with self._lock:
                self._commit(tried, results)
                self._judge(partition.max_failures)
                self._summary.interrupted |= results.interrupted
        except StoreError as error:
            self._lose(tried, error)
        return []

    def _commit(self, tried: _Try, results: Results) -> None:
        """One atomic append for the partition's rows, then the counts."""
        results.published, results.failures = self._kept(results)
        self._committed.add(tried.partition.id)
        if tried.origin in self._read:
            self._handed.setdefault(tried.origin, []).extend(results.published)
        self._summary.count(tried.partition, results)
        self._progress.partition(tried.partition, results)

    def _kept(self, results: Results) -> tuple[list[Published], list[Failure]]:
        """Commit; again after a pause if the store doesn't answer, what is there already left out.

        Raises:
            StoreError: it can't be, or the store stays out of reach.
        """
        todo, there = results.published, list[Published]()
        for attempt, pause in enumerate((*COMMIT_PAUSES, None)):
            try:
                if attempt:
                    there, todo = self._split(results.published)
                kept, failed = commit_kept(self._store, todo, results.failures)
                return [*there, *kept], failed
            except StoreUnreachable as error:
                if pause is None:
                    raise
                log.warning("%s; trying again in %g s", error, pause)
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _split(self, made: Sequence[Published]) -> tuple[list[Published], list[Published]]:
        """Which results a commit published whose answer was lost, and which not."""
        keys = sorted({r.fingerprint for r in made})
        known = {
            (r.corpus, r.clip, r.feature, r.fingerprint, r.run)
            for r in self._store.published(fingerprints=keys)
        }
        there = [r for r in made if (r.corpus, r.clip, r.feature, r.fingerprint, r.run) in known]
        return there, [r for r in made if r not in there]

    def _judge(self, limit: float) -> None:
        """Stop the run if more than the allowed share of clips failed, once there are enough."""
        summary = self._summary
        enough = summary.clips >= CLIPS_TO_JUDGE
        if enough and summary.failed_clips > limit * summary.clips and not summary.lost:
            share = f"{summary.failed_clips} of {summary.clips} clips"
            summary.lost.append(f"stopped after {share} failed; affectstore failures tells why")
            summary.interrupted = True
            self._on.stop()

    def _lose(self, tried: _Try, error: Exception) -> None:
        """Note a partition that failed as a whole; the others go on."""
        partition = tried.partition
        log.debug("partition %s failed", partition.id, exc_info=error)
        clips = shortened((work.clip for work in partition.clips), most=3)
        what = str(error) if hasattr(error, "code") else f"{type(error).__name__}: {error}"
        with self._lock:
            self._lost[tried.origin] = f"{clips}: {what}"
            self._progress.lost(partition, self._lost[tried.origin])

    @property
    def lost(self) -> list[str]:
        """Why partitions were lost, and not done by a later attempt."""
        return list(self._lost.values())


class _Queue:
    """Partitions of one stage in their order; those that are tried again come first."""

    def __init__(self, coming: Iterator[Partition], some: Partition) -> None:
        self.place = place_of(some)
        self._coming, self._waiting = coming, list[_Try]()

    def next(self, open_: Counter[str]) -> _Try | None:
        """The next one that needn't wait for another."""
        if not self._waiting:
            self._waiting += [_Try(p, p.id) for p in islice(self._coming, 1)]
        if self._waiting and not any(open_[p] for p in self._waiting[-1].partition.follows):
            return self._waiting.pop()
        return None

    def again(self, tries: Sequence[_Try]) -> None:
        """Put back what is to be tried again."""
        self._waiting += tries


class _Batch:
    """Partitions that are to be executed now, by stage; what comes after goes first when ready."""

    def __init__(self, store: FeatureStore, made: Sequence[Partition]) -> None:
        staged = by_stage(made)
        self._by_stage = {s: _Queue(loaded(store, some), some[0]) for s, some in staged.items()}
        self._suspects = list[_Try]()
        self.queues = [*self._by_stage.values()][::-1]
        #: partition -> how many pieces of it are still to be executed
        self.open = Counter(p.id for p in made)

    def suspect(self) -> _Try | None:
        """One of the clips that a worker may have died of."""
        return self._suspects.pop(0) if self._suspects else None

    def over(self, tried: _Try, again: Sequence[_Try]) -> None:
        """An attempt has ended; ``again`` takes its place."""
        self.open[tried.origin] += len(again) - 1
        self._suspects += [t for t in again if t.alone]
        self._by_stage[tried.partition.stage].again([t for t in again if not t.alone])


class _Room:
    """Lets many partitions of a run be executed at once, or one alone; threads share it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._taken = 0, False

    def enter(self, alone: bool) -> None:
        """Wait until nobody is alone inside or, in order to be alone, until nobody is inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and not (alone and self._inside))
            self._inside, self._taken = self._inside + 1, alone

    def leave(self) -> None:
        """Make room for the others."""
        with self._changed:
            self._inside, self._taken = self._inside - 1, False
            self._changed.notify_all()


def slots(on: Runner, place: str) -> int:
    """How many partitions run at once on that kind of worker."""
    return on.gpu_slots if place == "gpu" else on.slots


def _again(tried: _Try, error: Exception) -> list[_Try]:
    """The partition; after its second death clip by clip, to find the one at fault."""
    attempt, partition = tried.attempt + 1, tried.partition
    if attempt < PARTITION_ATTEMPTS or not isinstance(error, WorkerDied):
        return [replace(tried, attempt=attempt)]
    return [
        _Try(replace(partition, id=f"{partition.id}-{i}", clips=(work,)), tried.origin, alone=True)
        for i, work in enumerate(partition.clips)
    ]


def _at_fault(tried: _Try, error: Exception) -> bool:
    """Its worker died, and nothing else can have been the reason."""
    return tried.alone and isinstance(error, WorkerDied)
