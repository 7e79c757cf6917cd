"""Partitions on a Dask cluster: a given scheduler's, or one of this machine's own."""

from __future__ import annotations

import itertools
import logging
import os
import signal
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, suppress
from threading import Event, Thread
from typing import Any, NoReturn
from weakref import WeakSet

from features.errors import MediaMissing, RequestError
from flows.availability import check_computable
from flows.device import card_names
from flows.execute import Results, Told, execute, stop_run
from flows.partition import Partition
from flows.runners import RunnerUnavailable, WorkerDied
from flows.stages import Place, place_of
from storage import NotAStore

#: what a worker with a GPU declares (``dask worker --resources GPU=1``)
RESOURCE = "GPU"
#: seconds in which a scheduler answers, and in which one that was lost may come back
ANSWERS = 10
#: seconds between two looks whether the workers that a partition may run on are still there
PATIENCE = 5.0
#: looks after which they are given up: one that died may have been started again by then
LOOKS = 2
#: looks after which work goes to workers with a GPU, where no other comes any more: two minutes
LAST_LOOKS = 24
#: what a client says of itself once its scheduler is gone for good
CLOSED = ("closing", "closed")
#: what is told where the scheduler ends during a run
GONE = "the Dask scheduler has gone away; start it again"
#: times that a partition is moved to other workers: it may be what they died of
MOVES = 3
log = logging.getLogger(__name__)

#: errors that a worker's machine is to blame for, so that another one may do better
UNFIT = (RequestError, ImportError, NotAStore)


class DaskRunner(AbstractContextManager["DaskRunner"]):
    """A Dask cluster. Where workers declare GPUs, each takes as many GPU partitions at a time.

    Args:
        workers: single-threaded processes of a cluster of our own, if no scheduler is given.
        cards: further ones of it, each of which sees one GPU.
    """

    def __init__(self, workers: int, scheduler: str | None, cards: int = 0) -> None:
        from distributed import Client

        self.told: Told | None = None
        self._attempts = itertools.count()
        self._stopped = Event()
        self._closed = Event()
        self._runs = set[str]()
        self._unfit = set[str]()
        self._sent = WeakSet[Any]()
        self._cluster: Any = None if scheduler else local_cluster(workers, cards)
        where = scheduler or self._cluster
        try:
            # one that is the process's default stays it when its scheduler goes away: whatever
            # is computed with Dask later would wait for ever
            self._client: Any = Client(where, timeout=ANSWERS, set_as_default=False)  # type: ignore[no-untyped-call]
        except (ValueError, OSError) as error:
            self._refuse(scheduler, error)
        if self._cluster is not None:
            self._client.wait_for_workers(workers + cards)
        # a scheduler that goes away is told in one line
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        known = self._workers()
        self.gpu_slots = int(sum(w.get("resources", {}).get(RESOURCE, 0) for w in known.values()))
        plain = len(self._plain())
        self._apart = bool(self.gpu_slots and plain)
        self.slots = plain or max(1, len(known))

    def _refuse(self, scheduler: str | None, error: Exception) -> NoReturn:
        if isinstance(error, OSError):
            raise RunnerUnavailable(
                f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler"
            ) from error
        raise RunnerUnavailable(
            f"--scheduler {scheduler}: {error}; write it as tcp://HOST:PORT"
        ) from error

    def submit(self, partition: Partition) -> Future[Results]:
        """Queue a partition; Dask runs it again elsewhere if its worker dies.

        The GPU stage waits for a worker with a GPU. The others go to workers without one, if the
        cluster had any at the start. What a worker's machine can't do goes to other workers, and
        nothing goes to that one any more as long as there are others.
        """
        self._runs.add(partition.run)
        outer: Future[Results] = Future()
        if self._client.status in CLOSED:
            outer.set_exception(RunnerUnavailable(GONE))
            return outer
        if self._unfit or (self._apart and place_of(partition) == "cpu"):
            Thread(target=self._beside, args=(partition, outer), daemon=True).start()
            return outer
        inner = self._send(partition)
        inner.add_done_callback(
            lambda done: Thread(target=self._gather, args=(partition, done, outer)).start()
        )
        return outer

    def _beside(self, partition: Partition, outer: Future[Results]) -> None:
        try:
            self._elsewhere(partition, outer)
        except BaseException as error:
            outer.set_exception(self._told(error))

    def _elsewhere(self, partition: Partition, outer: Future[Results]) -> None:
        """On one of the workers for it; on others that there are then, once these are gone.

        Dask itself would either wait for them for ever or let workers with a GPU steal the work.
        """
        place = place_of(partition)
        chosen = self._chosen(place)
        inner = self._send(partition, workers=chosen)
        moves = looks = 0
        while not inner.done():
            try:
                inner.exception(timeout=PATIENCE)
            except TimeoutError:
                known = self._workers()
                looks = 0 if known.keys() & {*chosen} else looks + 1
                if not known or looks < LOOKS or inner.done():
                    continue
                inner.cancel()
                if moves == MOVES:
                    outer.set_exception(WorkerDied("the Dask workers that tried it are gone"))
                    return
                moves, looks, chosen = moves + 1, 0, self._chosen(place)
                inner = self._send(partition, workers=chosen)
        self._gather(partition, inner, outer)

    def _chosen(self, place: Place) -> list[str]:
        """Workers for a partition; any workers if none of its kind is there for two minutes.

        Raises:
            CancelledError: the run was stopped meanwhile.
        """
        looks = 0
        while not (chosen := self._fit(place) or self._kind(place)):
            known = self._workers()
            if known and looks >= LAST_LOOKS and place == "cpu":
                return [*known.keys() - self._unfit] or [*known]
            looks += bool(known)
            if self._stopped.wait(PATIENCE):
                raise CancelledError
        return chosen

    def _send(self, partition: Partition, **where: Any) -> Any:
        # a second attempt must not be answered by what Dask remembers of the first
        key = f"{partition.id}-{next(self._attempts)}"
        if place_of(partition) == "gpu":
            where["resources"] = {RESOURCE: 1}
        inner = self._client.submit(there, partition, key=key, pure=False, **where)
        self._sent.add(inner)
        return inner

    def _gather(self, partition: Partition, inner: Any, outer: Future[Results]) -> None:
        from distributed.scheduler import KilledWorker

        try:
            worker, done = inner.result()
            if (why := blamed(partition, done)) and self._leave_out(
                worker, why, place_of(partition)
            ):
                self._elsewhere(partition, outer)
            elif isinstance(done, UNFIT):
                outer.set_exception(type(done)(f"{done} (Dask worker {worker})"))
            else:
                outer.set_result(done)
        except KilledWorker:
            outer.set_exception(WorkerDied("the Dask workers that tried it died (out of memory?)"))
        except BaseException as error:
            outer.set_exception(self._told(error))

    def _told(self, error: BaseException) -> BaseException:
        """The error to hand on: a client whose scheduler is gone gives up what it waited for."""
        given_up = isinstance(error, CancelledError) or self._client.status in CLOSED
        return RunnerUnavailable(GONE) if given_up and not self._stopped.is_set() else error

    def _workers(self) -> dict[str, Any]:
        """Address -> what the scheduler knows of a worker, now."""
        known: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return known

    def _plain(self) -> list[str]:
        """Addresses of the workers without a GPU."""
        known = self._workers().items()
        return [a for a, w in known if not w.get("resources", {}).get(RESOURCE)]

    def _kind(self, place: Place) -> list[str]:
        """Addresses of the workers that partitions of a kind are for."""
        plain = self._plain()
        if place == "gpu":
            return [*self._workers().keys() - plain]
        return plain if self._apart else [*self._workers()]

    def _fit(self, place: Place) -> list[str]:
        """Those of them that no partition has turned out to be too much for."""
        return [a for a in self._kind(place) if a not in self._unfit]

    def _leave_out(self, worker: str, why: str, place: Place) -> bool:
        """Give a worker nothing more, as long as there are others; whether there are."""
        if worker not in self._unfit:
            self._unfit.add(worker)
            log.warning("Dask worker %s gets nothing more, if others can: %s", worker, why)
        return bool(self._fit(place))

    def stop(self) -> None:
        """Running partitions return at their next batch of frames, queued ones at once.

        The cluster may be somebody else's too: their runs go on.
        """
        self._stopped.set()
        # a signal's handler must not wait for workers
        Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        """Tell the workers, again and again, as one may be started anew; without any, give up."""
        while not self._closed.is_set():
            if not self._workers():
                for inner in [*self._sent]:
                    inner.cancel()
            with suppress(OSError):  # the scheduler may have gone away
                for run in self._runs:
                    self._client.run(stop_run, run, on_error="ignore")
            self._closed.wait(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def there(partition: Partition) -> tuple[str, Results | Exception]:
    """On a worker: its address, and what came of the partition."""
    from distributed import get_worker

    address = str(get_worker().address)
    try:
        todo = {feature for work in partition.clips for feature in work.todo}
        check_computable(node for node in partition.nodes if node.feature in todo)
        return address, execute(partition)
    except UNFIT as error:
        return address, error


def blamed(partition: Partition, done: Results | Exception) -> str:
    """What the worker's machine is to blame for, if anything: an error of its installation, or
    that it doesn't see media that are there."""
    if isinstance(done, Exception):
        return str(done)
    missing = {(f.corpus, f.clip): f for f in done.failures if f.code == MediaMissing.code}
    for work in partition.clips:
        if work.key in missing and all(map(os.path.exists, (work.uri, *work.assets.values()))):
            return f"{missing[work.key].message}, and it is there on this machine"
    return ""


def dask_setup(_: object) -> None:
    """Called by Dask in a worker process of ours: Ctrl-C is the coordinator's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def local_cluster(workers: int, cards: int) -> Any:
    """Single-threaded worker processes on this machine, the last ones with a GPU each."""
    from distributed import Nanny, Scheduler, SpecCluster

    local = {"host": "127.0.0.1", "dashboard": False}
    plain = {
        **local,
        "nthreads": 1,
        "memory_limit": 1.0 / (workers + cards),
        "silence_logs": logging.WARNING,
        "preload": [__name__],
    }
    spec: dict[str, Any] = {f"cpu-{i}": {"cls": Nanny, "options": plain} for i in range(workers)}
    for card in card_names(cards):
        own = {**plain, "resources": {RESOURCE: 1}, "env": {"CUDA_VISIBLE_DEVICES": card}}
        spec[f"gpu-{card}"] = {"cls": Nanny, "options": own}
    return SpecCluster(  # type: ignore[no-untyped-call]
        workers=spec,
        scheduler={"cls": Scheduler, "options": {**local, "port": 0}},
        silence_logs=logging.WARNING,
    )
