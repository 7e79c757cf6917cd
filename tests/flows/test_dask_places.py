"""On a cluster with GPUs, work for CPUs leaves the GPU workers alone as long as it can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask
import pytest

from features.errors import MediaMissing, ToolDiffers
from flows import dask_runner
from flows import execute as execution
from flows.availability import check_computable
from flows.dask_runner import DaskRunner
from flows.execute import Results
from flows.partition import ClipWork, Partition
from flows.pipeline import configure, instantiate
from flows.runners import RunnerUnavailable
from flows.stages import CPU, GPU
from storage.records import Failure

SECONDS = 60


def where(_: Partition) -> Results:
    """In place of the work: tells the name of the worker that it fell to."""
    from distributed import get_worker

    return Results(str(get_worker().name))


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
    return on.submit(work(stage)).result(SECONDS).partition


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
        assert waiting.result(SECONDS).partition == "new"


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


def differs_on_cpu(partition: Partition) -> Results:
    """In place of the work: the machine of the worker ``cpu`` has another version."""
    if where(partition).partition == "cpu":
        raise ToolDiffers("x is version 1 on this machine, 2 in the plan")
    return where(partition)


def blind_on_cpu(partition: Partition) -> Results:
    """In place of the work: the worker ``cpu`` doesn't see the media."""
    if where(partition).partition != "cpu":
        return Results("done elsewhere")
    missing = (MediaMissing.code, "can't be found", "", 1, "run", datetime.now(UTC))
    return Results("p", failures=[Failure("c", "a", "timeline", "key", *missing)])


def clip_at(path: Path) -> ClipWork:
    return ClipWork("c", "a", str(path), None, None, "m", "s", 1, 1, None, 1.0, ("timeline",))


def test_what_one_machine_cannot_do_goes_to_another_and_no_more_goes_there(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_runner, "execute", differs_on_cpu)
    with DaskRunner(0, cluster.scheduler_address) as on:
        with pytest.raises(ToolDiffers, match=r"version 1 .* \(Dask worker tcp://"):
            ran(on, CPU)
        assert ran(on, GPU) == "gpu", "it is another machine's fault"
        bring(cluster, "new")
        assert [ran(on, CPU) for _ in range(3)] == ["new"] * 3


def test_a_worker_that_does_not_see_the_media_puts_no_clip_into_quarantine(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_runner, "execute", blind_on_cpu)
    (tmp_path / "a.mp4").touch()
    seen = replace(work(CPU), clips=(clip_at(tmp_path / "a.mp4"),))
    gone = replace(work(CPU), clips=(clip_at(tmp_path / "b.mp4"),))
    with DaskRunner(0, cluster.scheduler_address) as on:
        assert on.submit(gone).result(SECONDS).failures, "nobody sees it"
        assert on.submit(seen).result(SECONDS).failures, "no other worker is there"
        bring(cluster, "new")
        assert on.submit(seen).result(SECONDS).partition == "done elsewhere"


def test_an_extractor_of_another_version_computes_nothing_under_the_plans_key() -> None:
    (node,) = (n for n in configure({}).nodes if n.feature == "mfcc_mel")
    assert instantiate(node, "cpu") is not None
    with pytest.raises(ToolDiffers, match=f"version {node.version} .* {node.version + 1} in the"):
        instantiate(replace(node, version=node.version + 1), "cpu")


def test_what_a_machine_lacks_is_found_before_it_computes() -> None:
    (node,) = (n for n in configure({}).nodes if n.feature == "mfcc_mel")
    check_computable([node])
    with pytest.raises(ValueError, match="plugin, isn't installed here"):
        check_computable([replace(node, extractor="plugin")])
    with pytest.raises(ValueError, match="mfcc_mel has no parameter 'younger'"):
        check_computable([replace(node, params={"younger": 1})])
