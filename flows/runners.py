"""Where partitions are executed: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any, Literal, Protocol, cast, get_args

from features.errors import RequestError
from flows import execute as execution
from flows.execute import Results, Told, execute
from flows.partition import Partition
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
        told: called with a clip and the share of it that is done, where clips are executed in this
            process.
    """

    slots: int
    gpu_slots: int
    told: Told | None

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
        workers: processes (``processes``, ``dask`` without a scheduler); default the cores that
            this process may use, by its affinity and its control group.
        scheduler: address of a running Dask scheduler, such as ``tcp://head:8786``.
        cards: GPUs of this machine that each get a worker besides, where workers are started.

    Raises:
        RunnerUnavailable: nobody answers at the scheduler's address.
    """
    from flows.dask_runner import DaskRunner
    from flows.process_runner import ProcessRunner

    count = workers or _cores(name)
    makers: dict[str, Any] = {
        "local": LocalRunner,
        "processes": lambda: ProcessRunner(count, cards),
        "dask": lambda: DaskRunner(count, scheduler, cards),
    }
    made: AbstractContextManager[Runner] = makers[name]()
    with made as started:
        yield started


def runner_of(name: str | None, workers: int | None, scheduler: str | None) -> RunnerName:
    """The runner that was asked for, by its name or by what is only meant for one of them.

    Raises:
        RequestError: there is none of that name, or it has no use for what else was asked.
    """
    if workers is not None and workers < 1:
        raise RequestError(f"--workers {workers}: name at least one, or leave it out for the cores")
    if scheduler is not None and not scheduler.strip():
        raise RequestError("--scheduler is empty; name its address, such as tcp://head:8786")
    several = workers is not None and workers > 1
    chosen = name or ("dask" if scheduler else "processes" if several else "local")
    if chosen not in get_args(RunnerName):
        raise RequestError(f"--runner {chosen}: choose local, processes or dask")
    if scheduler and chosen != "dask":
        raise RequestError(f"--runner {chosen} takes no --scheduler; leave one of the two out")
    if several and chosen == "local":
        raise RequestError(
            f"--runner local is this process alone; with --workers {workers} choose processes "
            "or dask"
        )
    return cast(RunnerName, chosen)


def _cores(name: RunnerName) -> int:
    """Cores that this process may use, where workers are started."""
    if name == "local":
        return 1
    from dask.system import cpu_count

    return int(cpu_count())


class LocalRunner(AbstractContextManager["LocalRunner"]):
    """In this process, one after the other."""

    slots = 1
    gpu_slots = 0

    def __init__(self) -> None:
        self.told: Told | None = None
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
