"""Workers that die: the clip at fault is found, and no other one pays for it."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from flows import process_runner
from flows.coordinator import Coordinator
from flows.execute import Results
from flows.partition import ClipWork, Partition
from flows.process_runner import ProcessRunner
from flows.runners import Runner, WorkerDied
from flows.summary import Progress, Summary
from storage import FeatureStore
from tests.storage.store_kit import FACES, media_key, new_store, node

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
