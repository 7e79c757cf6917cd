"""Workers that die: the clip at fault is found, and no other one pays for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from flows import coordinator as coordination
from flows import process_runner
from flows.coordinator import Coordinator
from flows.execute import Results
from flows.partition import ClipWork, Partition
from flows.process_runner import ProcessRunner
from flows.runners import Runner, WorkerDied
from flows.summary import Progress, Summary
from storage import FeatureStore, StoreUnreachable
from storage.records import Published
from tests.storage.store_kit import FACES, make_rows, media_key, new_store, node, staged

DEADLY = "clip3"
NAMES = tuple(f"clip{i}" for i in range(8))


def deadly(partition: Partition) -> Results:
    """In a worker process: dies of one clip, a little after others have begun theirs."""
    done = Results(partition.id)
    for work in partition.clips:
        if work.clip == DEADLY:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.15)
        done.clips += 1
    return done


def lasting(partition: Partition) -> Results:
    """In a worker process: tells its number; the second partition takes a minute."""
    Path(partition.root, partition.id).write_text(str(os.getpid()))
    time.sleep(60 * partition.id.endswith("1"))
    return Results(partition.id)


#: a coordinator with a worker at rest and one at work
COORDINATOR = """
import sys, time
from flows import process_runner
from flows.partition import Partition
from tests.flows.test_deaths import lasting

if __name__ == "__main__":
    process_runner.execute = lasting
    with process_runner.ProcessRunner(2) as on:
        made = [Partition(f"run-{i}", sys.argv[1], {}, (), (), "cpu", "run") for i in range(2)]
        [on.submit(partition) for partition in made][0].result()
        time.sleep(60)
"""


class Fragile(Runner):
    """A death takes whatever was submitted, as with a pool or a Dask worker's queue."""

    slots, gpu_slots, told = 2, 0, None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[Future[Results], Partition] = {}

    def submit(self, partition: Partition) -> Future[Results]:
        future: Future[Results] = Future()
        with self._lock:
            self._flying[future] = partition
        threading.Timer(0.02, self._land, [future]).start()
        return future

    def _land(self, future: Future[Results]) -> None:
        with self._lock:
            partition = self._flying.pop(future, None)
            if partition is None:
                return
            if all(work.clip != DEADLY for work in partition.clips):
                hit, ended = [], Results(partition.id, clips=len(partition.clips))
            else:
                hit, self._flying = [future, *self._flying], {}
        for each in hit:
            each.set_exception(WorkerDied("they died"))
        if not hit:
            future.set_result(ended)

    def stop(self) -> None:
        pass


def partition(store: FeatureStore, number: int, names: tuple[str, ...]) -> Partition:
    works = tuple(
        ClipWork(
            *("c", name, "/x", None, None, media_key(f"sha-{name}"), f"sha-{name}", 1, 1, None),
            *(1.0, ("faces",)),
        )
        for name in names
    )
    return Partition(f"run-{number}", store.root, {}, (node(FACES),), works, "cpu", "run")


def blamed(store: FeatureStore) -> list[str]:
    return sorted(row["clip"] for row in store.failures().to_pylist())


def test_a_death_hits_only_the_process_it_happens_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_runner, "execute", deadly)
    store = new_store(tmp_path / "s", NAMES)
    with ProcessRunner(2) as on:
        neighbour = on.submit(partition(store, 1, NAMES[4:]))
        with pytest.raises(WorkerDied):
            on.submit(partition(store, 0, NAMES[:4])).result()
        after = on.submit(partition(store, 2, NAMES[:1]))
        assert (neighbour.result().clips, after.result().clips) == (4, 1)


def test_where_deaths_take_neighbours_only_the_clip_at_fault_is_blamed(tmp_path: Path) -> None:
    store, summary = new_store(tmp_path / "s", NAMES), Summary("run")
    made = [partition(store, i, NAMES[i : i + 2]) for i in range(0, 8, 2)]
    coordinator = Coordinator(store, made, Fragile(), summary, Progress())
    threads = [threading.Thread(target=coordinator.run, args=([p],)) for p in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert blamed(store) == [DEADLY]
    assert (summary.clips, summary.failed) == (len(NAMES), 1)


def test_one_loop_over_all_partitions_blames_no_neighbour_either(tmp_path: Path) -> None:
    store, summary = new_store(tmp_path / "s", NAMES), Summary("run")
    made = [partition(store, 0, NAMES[:5]), partition(store, 1, NAMES[5:])]
    assert Coordinator(store, made, Fragile(), summary, Progress()).run(made) == []
    assert blamed(store) == [DEADLY]
    assert (summary.clips, summary.failed) == (len(NAMES), 1)


class Computes(Fragile):
    """Every partition gives one result for each of its clips."""

    def __init__(self, store: FeatureStore) -> None:
        super().__init__()
        self._store = store

    def submit(self, partition: Partition) -> Future[Results]:
        future: Future[Results] = Future()
        made = [
            staged(self._store, work.clip, FACES, node(FACES), make_rows(FACES, 2))
            for work in partition.clips
        ]
        future.set_result(Results(partition.id, made, clips=len(made)))
        return future


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("outages", [2, 4])
def test_a_store_that_is_out_of_reach_for_a_while_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: bool, outages: int
) -> None:
    store, summary = new_store(tmp_path / "s", NAMES), Summary("run")
    commit, tried = FeatureStore.commit, list[int]()

    def fails(self: FeatureStore, made: Sequence[Published], failures: object = ()) -> None:
        if not made:
            return
        tried.append(len(made))
        if len(tried) > outages or answered:
            commit(self, made)
        if len(tried) <= outages:
            raise StoreUnreachable("it can't be reached")

    monkeypatch.setattr(FeatureStore, "commit", fails)
    monkeypatch.setattr(coordination, "COMMIT_PAUSES", (0.0, 0.0, 0.0))
    made = [partition(store, 0, NAMES[:2]), partition(store, 1, NAMES[2:4])]
    lost = Coordinator(store, made, Computes(store), summary, Progress()).run(made)
    found = [r.clip for r in store.published()]
    assert len(found) == len({*found}), "nothing is published twice"
    if outages < 4 or answered:
        assert (len(found), lost, summary.published) == (4, [], 4)
    else:
        # given up, and the run goes on with the next
        assert len(found) == 2
        assert lost == ["clip0, clip1: it can't be reached"]


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_workers_of_a_killed_coordinator_end_by_themselves(tmp_path: Path) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(COORDINATOR)
    folders = os.pathsep.join(path or os.getcwd() for path in sys.path)
    coordinator = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": folders}
    )
    told = [tmp_path / f"run-{i}" for i in range(2)]
    try:
        wait_for(lambda: all(path.exists() and path.read_text() for path in told), 60)
        workers = [int(path.read_text()) for path in told]
        assert len({*workers}) == 2
        assert all(map(alive, workers))
    finally:
        coordinator.kill()
        coordinator.wait()
    wait_for(lambda: not any(map(alive, workers)), 10)


def test_workers_end_at_once_when_the_coordinator_is_interrupted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_runner, "execute", lasting)
    told, futures, began = tmp_path / "run-1", [], []

    def work_and_interrupt() -> None:
        with ProcessRunner(1) as on:
            made = Partition("run-1", str(tmp_path), {}, (), (), "cpu", "run")
            futures.append(on.submit(made))
            wait_for(lambda: told.exists() and bool(told.read_text()), 60)
            began.append(time.monotonic())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_and_interrupt()
    assert time.monotonic() - began[0] < 20
    with pytest.raises(WorkerDied):
        futures[0].result()


def wait_for(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
