"""Partitions on a Dask cluster: a given scheduler's, or one of this machine's own."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Thread
from typing import Any

from flows import execute as execution
from flows.device import card_names
from flows.execute import Results, execute
from flows.partition import ClipWork, Partition
from flows.runners import RunnerUnavailable, WorkerDied
from flows.stages import place_of

#: what a worker with a GPU declares (``dask worker --resources GPU=1``)
RESOURCE = "GPU"
#: seconds between two looks whether the workers that a partition may run on are still there
PATIENCE = 5.0
#: looks after which they are given up: one that died may have been started again by then
LOOKS = 2
#: times that a partition is moved to other workers: it may be what they died of
MOVES = 3


class DaskRunner(AbstractContextManager["DaskRunner"]):
    """A Dask cluster. Where workers declare GPUs, each takes as many GPU partitions at a time.

    Args:
        workers: single-threaded processes of a cluster of our own, if no scheduler is given.
        cards: further ones of it, each of which sees one GPU.
    """

    def __init__(self, workers: int, scheduler: str | None, cards: int = 0) -> None:
        from distributed import Client

        self.told: Callable[[ClipWork], None] | None = None
        self._attempts = itertools.count()
        self._cluster: Any = None if scheduler else local_cluster(workers, cards)
        try:
            self._client: Any = Client(scheduler or self._cluster, timeout=10)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError) as error:
            raise RunnerUnavailable(
                f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler"
            ) from error
        if self._cluster is not None:
            self._client.wait_for_workers(workers + cards)
        known = self._workers()
        self.gpu_slots = int(sum(w.get("resources", {}).get(RESOURCE, 0) for w in known.values()))
        self.slots = len(self._plain()) or max(1, len(known))

    def submit(self, partition: Partition) -> Future[Results]:
        """Queue a partition; Dask runs it again elsewhere if its worker dies.

        The GPU stage waits for a worker with a GPU. The others go to workers without one, as long
        as the cluster has any.
        """
        outer: Future[Results] = Future()
        plain = self._plain() if self.gpu_slots and place_of(partition) == "cpu" else []
        if plain:
            Thread(target=self._beside, args=(partition, plain, outer), daemon=True).start()
            return outer
        where = {"resources": {RESOURCE: 1}} if place_of(partition) == "gpu" else {}
        inner = self._send(partition, **where)
        inner.add_done_callback(lambda done: Thread(target=_gather, args=(done, outer)).start())
        return outer

    def _beside(self, partition: Partition, plain: Sequence[str], outer: Future[Results]) -> None:
        try:
            self._elsewhere(partition, plain, outer)
        except BaseException as error:
            # such as a client that was closed meanwhile
            outer.set_exception(error)

    def _elsewhere(
        self, partition: Partition, plain: Sequence[str], outer: Future[Results]
    ) -> None:
        """On one of these workers; on others that there are then, once all of these are gone.

        Dask itself would either wait for them for ever or let workers with a GPU steal the work.
        """
        from distributed import wait

        inner = self._send(partition, workers=[*plain])
        moves = looks = 0
        while not inner.done():
            try:
                wait(inner, timeout=PATIENCE)  # type: ignore[no-untyped-call]
            except TimeoutError:
                known = self._workers()
                looks = 0 if known.keys() & {*plain} else looks + 1
                if not known or looks < LOOKS or inner.done():
                    continue
                inner.cancel()
                if moves == MOVES:
                    outer.set_exception(WorkerDied("the Dask workers that tried it are gone"))
                    return
                moves, looks, plain = moves + 1, 0, self._plain() or [*known]
                inner = self._send(partition, workers=[*plain])
        _gather(inner, outer)

    def _send(self, partition: Partition, **where: Any) -> Any:
        # a second attempt must not be answered by what Dask remembers of the first
        key = f"{partition.id}-{next(self._attempts)}"
        return self._client.submit(execute, partition, key=key, pure=False, **where)

    def _workers(self) -> dict[str, Any]:
        """Address -> what the scheduler knows of a worker, now."""
        known: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return known

    def _plain(self) -> list[str]:
        """Addresses of the workers without a GPU."""
        known = self._workers().items()
        return [a for a, w in known if not w.get("resources", {}).get(RESOURCE)]

    def stop(self) -> None:
        """Queued partitions are cancelled, running ones asked to stop at their next batch."""
        self._client.run(execution.stop_requested.set, wait=False)

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def local_cluster(workers: int, cards: int) -> Any:
    """Single-threaded worker processes on this machine, the last ones with a GPU each."""
    from distributed import Nanny, Scheduler, SpecCluster

    local = {"host": "127.0.0.1", "dashboard": False}
    plain = {
        **local,
        "nthreads": 1,
        "memory_limit": 1.0 / (workers + cards),
        "silence_logs": logging.WARNING,
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


def _gather(inner: Any, outer: Future[Results]) -> None:
    from distributed.scheduler import KilledWorker

    try:
        outer.set_result(inner.result())
    except KilledWorker:
        outer.set_exception(WorkerDied("the Dask workers that tried it died (out of memory?)"))
    except BaseException as error:
        outer.set_exception(error)
