"""Where partitions are executed: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any, Literal, Protocol

from features.errors import RequestError
from flows import execute as execution
from flows.execute import Results, execute
from flows.partition import ClipWork, Partition
from flows.recordings import release

RunnerName = Literal["local", "processes", "dask"]


class RunnerUnavailable(RequestError):
    """The asked runner can't start."""

    code = "runner_unavailable"


class WorkerDied(Exception):
    """The process that executed a partition ended before it answered."""


class Runner(Protocol):
    """Executes partitions; ``slots`` at a time are worth submitting.

    Attributes:
        gpu_slots: workers that have a GPU of their own; 0 where stages aren't taken apart.
        told: called after each clip, where clips are executed in this process.
    """

    slots: int
    gpu_slots: int
    told: Callable[[ClipWork], None] | None

    def submit(self, partition: Partition) -> Future[Results]: ...

    def stop(self) -> None:
        """Ask running partitions to stop at the next batch and start no more."""


@contextmanager
def runner(
    name: RunnerName,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    cards: int = 0,
) -> Iterator[Runner]:
    """Start a runner and end it with the block.

    Args:
        workers: processes (``processes``, ``dask`` without a scheduler); default the cores.
        scheduler: address of a running Dask scheduler, such as ``tcp://head:8786``.
        cards: GPUs of this machine that each get a worker besides, where workers are started.

    Raises:
        RunnerUnavailable: nobody answers at the scheduler's address.
    """
    from flows.dask_runner import DaskRunner
    from flows.process_runner import ProcessRunner

    count = workers or multiprocessing.cpu_count()
    makers: dict[str, Any] = {
        "local": LocalRunner,
        "processes": lambda: ProcessRunner(count, cards),
        "dask": lambda: DaskRunner(count, scheduler, cards),
    }
    made: AbstractContextManager[Runner] = makers[name]()
    with made as started:
        yield started


class LocalRunner(AbstractContextManager["LocalRunner"]):
    """In this process, one after the other."""

    slots = 1
    gpu_slots = 0

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
        release()
