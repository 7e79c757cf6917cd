"""Which runner is taken, with how many workers, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import dask
import pytest

from features.errors import RequestError
from flows.dask_runner import DaskRunner
from flows.runners import RunnerUnavailable, runner_of

HEAD = "tcp://head:8786"


@pytest.mark.parametrize(
    ("name", "workers", "scheduler", "taken"),
    [
        (None, None, None, "local"),
        (None, 1, None, "local"),
        (None, 3, None, "processes"),
        (None, None, HEAD, "dask"),
        (None, 3, HEAD, "dask"),
        ("local", 1, None, "local"),
        ("dask", 3, None, "dask"),
        ("processes", None, None, "processes"),
    ],
)
def test_what_is_only_meant_for_one_runner_chooses_it(
    name: str | None, workers: int | None, scheduler: str | None, taken: str
) -> None:
    assert runner_of(name, workers, scheduler) == taken


@pytest.mark.parametrize(
    ("name", "workers", "scheduler", "told"),
    [
        ("local", 3, None, "--workers 3 choose processes or dask"),
        ("local", None, HEAD, "takes no --scheduler"),
        ("processes", 3, HEAD, "takes no --scheduler"),
        (None, 0, None, "--workers 0: name at least one"),
        ("processes", -1, None, "--workers -1: name at least one"),
        (None, None, " ", "--scheduler is empty"),
        ("slurm", None, None, "choose local, processes or dask"),
    ],
)
def test_what_a_runner_has_no_use_for_is_refused_in_one_line(
    name: str | None, workers: int | None, scheduler: str | None, told: str
) -> None:
    with pytest.raises(RequestError, match=told) as refused:
        runner_of(name, workers, scheduler)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("address", ["nonsense", "carrier-pigeon://head:1", "tcp://head:door"])
def test_an_address_that_is_none_is_refused_with_how_to_write_it(address: str) -> None:
    with pytest.raises(RunnerUnavailable, match=f"--scheduler {address}: .*tcp://HOST:PORT"):
        DaskRunner(1, address)
    assert dask.config.get("scheduler", None) is None, "arrays are computed in this process still"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_workers_are_as_many_as_the_cores_of_the_job() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from flows import runners; print(runners._cores('processes'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr
