"""On a cluster with GPUs, work for CPUs leaves the GPU workers alone as long as it can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import dask
import pytest

from flows import dask_runner
from flows import execute as execution
from flows.dask_runner import DaskRunner
from flows.partition import Partition
from flows.runners import RunnerUnavailable
from flows.stages import CPU, GPU

SECONDS = 60


def where(_: Partition) -> str:
    """In place of the work: the name of the worker that it fell to."""
    from distributed import get_worker

    return str(get_worker().name)  # type: ignore[no-untyped-call]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A worker with a GPU and one without, in this process."""
    from distributed import Scheduler, SpecCluster, Worker

    monkeypatch.setattr(dask_runner, "execute", where)
    monkeypatch.setattr(dask_runner, "PATIENCE", 0.1)
    # in one process nothing but a busy machine keeps a scheduler from answering
    monkeypatch.setattr(dask_runner, "ANSWERS", 5)
    local = {"host": "127.0.0.1", "dashboard": False}
    plain = {**local, "nthreads": 1}
    made: Any = SpecCluster(  # type: ignore[no-untyped-call]
        workers={
            "gpu": {"cls": Worker, "options": {**plain, "resources": {"GPU": 1}}},
            "cpu": {"cls": Worker, "options": plain},
        },
        scheduler={"cls": Scheduler, "options": {**local, "port": 0}},
    )
    monkeypatch.setattr(execution, "_stopped", set())
    with made:
        yield made


def ran(on: DaskRunner, stage: str) -> object:
    return on.submit(work(stage)).result(SECONDS)


def work(stage: str) -> Partition:
    return Partition("p", "nowhere", {}, (), (), "cpu", "run", stage=stage)


def lose(cluster: Any, name: str) -> None:
    cluster.sync(cluster.workers[name].close)
    del cluster.worker_spec[name]
    cluster.sync(cluster._correct_state)


def bring(cluster: Any, name: str) -> None:
    cluster.worker_spec[name] = {
        "cls": type(cluster.workers["gpu"]),
        "options": {"host": "127.0.0.1", "dashboard": False, "nthreads": 1},
    }
    cluster.sync(cluster._correct_state)


def test_work_waits_for_a_worker_of_its_kind_that_comes_back(cluster: Any) -> None:
    with DaskRunner(0, cluster.scheduler_address) as on:
        assert (ran(on, CPU), ran(on, GPU)) == ("cpu", "gpu")
        lose(cluster, "cpu")
        waiting = on.submit(work(CPU))
        assert ran(on, GPU) == "gpu"
        assert not waiting.done(), "a worker with a GPU is free, and no other is there"
        bring(cluster, "new")
        assert waiting.result(SECONDS) == "new"


def test_it_falls_to_a_worker_with_a_gpu_where_no_other_comes(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_runner, "LAST_LOOKS", 3)
    with DaskRunner(0, cluster.scheduler_address) as on:
        lose(cluster, "cpu")
        assert ran(on, CPU) == "gpu"


def test_a_stop_reaches_the_workers_and_ends_the_wait(cluster: Any) -> None:
    with DaskRunner(0, cluster.scheduler_address) as on:
        lose(cluster, "cpu")
        waiting = on.submit(work(CPU))
        on.stop()
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)
        # the workers of this test are threads of this process
        deadline = time.monotonic() + SECONDS
        while not execution._stopped and time.monotonic() < deadline:
            time.sleep(0.05)
        assert execution._stopped == {"run"}


@pytest.mark.parametrize("stage", [CPU, GPU])
def test_a_scheduler_that_goes_away_is_told_as_that_and_not_as_a_stop(
    cluster: Any, stage: str
) -> None:
    with DaskRunner(0, cluster.scheduler_address) as on:
        lose(cluster, stage)
        waiting = on.submit(work(stage))
        cluster.close()
        with pytest.raises(RunnerUnavailable, match="scheduler has gone away"):
            waiting.result(SECONDS)
        with pytest.raises(RunnerUnavailable, match="scheduler has gone away"):
            ran(on, stage)
    assert dask.config.get("scheduler", None) is None, "arrays are computed in this process still"
