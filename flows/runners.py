"""Where partitions are executed: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.synchronize import Event
from threading import Lock, Thread
from typing import Any, Literal, Protocol

from features.errors import RequestError
from flows import execute as execution
from flows.execute import Results, execute
from flows.partition import ClipWork, Partition

RunnerName = Literal["local", "processes", "dask"]


class RunnerUnavailable(RequestError):
    """The asked runner can't start."""

    code = "runner_unavailable"


class WorkerDied(Exception):
    """The process that executed a partition ended before it answered."""


class Runner(Protocol):
    """Executes partitions; ``slots`` at a time are worth submitting."""

    slots: int
    #: called after each clip, where clips are executed in this process
    told: Callable[[ClipWork], None] | None

    def submit(self, partition: Partition) -> Future[Results]: ...

    def stop(self) -> None:
        """Ask running partitions to stop at the next batch and start no more."""


@contextmanager
def runner(
    name: RunnerName, *, workers: int | None = None, scheduler: str | None = None
) -> Iterator[Runner]:
    """Start a runner and end it with the block.

    Args:
        workers: processes (``processes``, ``dask`` without a scheduler); default the cores.
        scheduler: address of a running Dask scheduler, such as ``tcp://head:8786``.

    Raises:
        RunnerUnavailable: nobody answers at the scheduler's address.
    """
    makers: dict[str, Any] = {
        "local": LocalRunner,
        "processes": lambda: ProcessRunner(workers or multiprocessing.cpu_count()),
        "dask": lambda: DaskRunner(workers, scheduler),
    }
    made: AbstractContextManager[Runner] = makers[name]()
    with made as started:
        yield started


class LocalRunner(AbstractContextManager["LocalRunner"]):
    """In this process, one after the other."""

    slots = 1

    def __init__(self) -> None:
        self.told: Callable[[ClipWork], None] | None = None
        self._one = Lock()

    def submit(self, partition: Partition) -> Future[Results]:
        """Execute now; the future is done when it returns."""
        future: Future[Results] = Future()
        with self._one:
            try:
                future.set_result(execute(partition, self.told))
            except Exception as error:
                future.set_exception(error)
        return future

    def stop(self) -> None:
        """The partition at work returns at its next batch of frames."""
        execution.stop_requested.set()

    def __exit__(self, *_: object) -> None:
        execution.stop_requested.clear()


class ProcessRunner(AbstractContextManager["ProcessRunner"]):
    """Several processes on this machine; one that dies takes no other with it."""

    def __init__(self, workers: int) -> None:
        self.slots = workers
        self.told: Callable[[ClipWork], None] | None = None
        self._context = multiprocessing.get_context("spawn")
        self._stop: Event = self._context.Event()
        self._lock = Lock()
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.slots, self._context, initializer=_process_starts, initargs=(self._stop,)
        )

    def submit(self, partition: Partition) -> Future[Results]:
        """Queue a partition; a pool that a dying worker broke is replaced first."""
        with self._lock:
            try:
                inner = self._pool.submit(execute, partition)
            except BrokenProcessPool:
                self._pool.shutdown(wait=False)
                self._pool = self._start()
                inner = self._pool.submit(execute, partition)
        outer: Future[Results] = Future()
        inner.add_done_callback(lambda done: _pass_on(done, outer))
        return outer

    def stop(self) -> None:
        """Workers return at their next batch of frames."""
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class DaskRunner(AbstractContextManager["DaskRunner"]):
    """A Dask cluster: a given scheduler's, or a local one of single-threaded processes."""

    def __init__(self, workers: int | None, scheduler: str | None) -> None:
        from distributed import Client, LocalCluster

        self.told: Callable[[ClipWork], None] | None = None
        self._cluster: Any = None
        if scheduler is None:
            count = workers or multiprocessing.cpu_count()
            self._cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=count, threads_per_worker=1, dashboard_address=None, processes=True
            )
        try:
            self._client: Any = Client(scheduler or self._cluster, timeout=10)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError) as error:
            raise RunnerUnavailable(
                f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler"
            ) from error
        self.slots = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def submit(self, partition: Partition) -> Future[Results]:
        """Queue a partition; Dask runs it again elsewhere if its worker dies."""
        inner = self._client.submit(execute, partition, key=partition.id, pure=False)
        outer: Future[Results] = Future()
        inner.add_done_callback(lambda done: Thread(target=_gather, args=(done, outer)).start())
        return outer

    def stop(self) -> None:
        """Queued partitions are cancelled, running ones asked to stop at their next batch."""
        self._client.run(execution.stop_requested.set, wait=False)

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _process_starts(stop: Event) -> None:
    """In a worker process: Ctrl-C is the coordinator's affair; obey its stop event."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    execution.stop_requested = stop  # type: ignore[assignment]


def _pass_on(inner: Future[Results], outer: Future[Results]) -> None:
    try:
        outer.set_result(inner.result())
    except BrokenProcessPool:
        outer.set_exception(WorkerDied("its worker process died (out of memory?)"))
    except CancelledError:
        outer.cancel()
    except BaseException as error:
        outer.set_exception(error)


def _gather(inner: Any, outer: Future[Results]) -> None:
    from distributed.scheduler import KilledWorker

    try:
        outer.set_result(inner.result())
    except KilledWorker:
        outer.set_exception(WorkerDied("the Dask workers that tried it died (out of memory?)"))
    except BaseException as error:
        outer.set_exception(error)
