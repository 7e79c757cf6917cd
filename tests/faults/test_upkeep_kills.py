"""kill -9 amid what tends a store: all that is left is read at once, and the same again ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage import FeatureStore
from storage.compact import compact
from storage.content import content_hash
from storage.gc import gc
from storage.verify import verify
from tests.storage.store_kit import CROP, FACES, WHOLE, node
from tests.storage.upkeep_kit import copy_of, file_of, filled_store, flip, publish_together

#: shares of an undisturbed run's time after which it is killed
MOMENTS = (0.05, 0.25, 0.5, 0.7, 0.9)
#: takes each line as work for a process of its own, which begins with everything imported
HOME = """
import os, signal, sys, time
from datetime import timedelta
from pathlib import Path
import numpy, pyarrow.dataset, duckdb, deltalake
import storage.compact, storage.copy, storage.forget, storage.gc, storage.repair, storage.verify
import tests.storage.upkeep_kit
from storage import FeatureStore
print("ready", flush=True)
for line in sys.stdin:
    seconds, _, work = line.partition(" ")
    child = os.fork()
    if not child:
        exec(work)
        os._exit(0)
    if seconds != "-":
        # a child that is over and not waited for keeps its number
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""
NOW = "timedelta(0)"
WORK = {
    "compact": "storage.compact.compact(store)",
    "gc": f"storage.gc.gc(store, keep={NOW}, grace={NOW})",
    "tag": "store.tag('again', move=True)",
    "copy": "storage.copy.copy(store, FeatureStore.create(root + '-copy', exist_ok=True))",
    "forget": f"storage.forget.forget(store, [('c', 'a')], grace={NOW})",
    "config": "tests.storage.upkeep_kit.configure(store, *tests.storage.upkeep_kit.NODES.values(),"
    " name='other')",
    "repair": "storage.repair.repair(store)",
}


class Home:
    """Runs a line of Python in a process that can be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._told()

    def run(self, line: str, kill_after: float | None = None) -> int:
        """The line's exit status, negative if it was killed."""
        self.start(line, kill_after)
        return self.ended()

    def start(self, line: str, kill_after: float | None = None) -> None:
        """Begin without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{'-' if kill_after is None else kill_after} {line}\n")
        self._process.stdin.flush()

    def ended(self) -> int:
        """Wait for what was started; its exit status."""
        return os.waitstatus_to_exitcode(int(self._told()))

    def close(self) -> None:
        self._process.communicate()

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    made = Home()
    yield made
    made.close()


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store with small parts to merge, a superseded and a damaged result, a tag and strays."""
    store = filled_store(tmp_path_factory.mktemp("kills") / "store")
    publish_together(store, CROP, ("a", "b"), seed=1)
    publish_together(store, FACES, ("d",), made_by=node(FACES, version=2), seed=1)
    store.tag("kept")
    publish_together(store, CROP, ("b", "d"), seed=2)
    with store.writer(CROP) as writer:
        writer.begin()
        writer.append(CROP.invalid(3))
        writer.finish()
    return store


def told(name: str, store: FeatureStore) -> str:
    return f"root = {store.root!r}; store = FeatureStore.open(root); {WORK[name]}"


def read_all(store: FeatureStore, but: str = "") -> dict[tuple[str, str, str], str]:
    """(clip, feature, fingerprint) -> content, after a look that the rows are those."""
    found = {}
    for result in store.published():
        if result.clip != but:
            assert content_hash(store.read_result(result)) == result.content
            found[result.clip, result.feature, result.fingerprint] = result.content
    return found


@pytest.mark.parametrize("name", sorted(set(WORK) - {"repair"}))
def test_what_is_killed_is_ended_by_the_same_again(
    home: Home, scattered: FeatureStore, tmp_path: Path, name: str
) -> None:
    gone = "a" if name == "forget" else ""
    want = read_all(scattered, gone)
    first = copy_of(scattered, tmp_path / "first")
    began = time.perf_counter()
    assert home.run(told(name, first)) == 0
    took = time.perf_counter() - began
    store = copy_of(scattered, tmp_path / "store")
    killed = 0
    for moment in MOMENTS:
        killed += home.run(told(name, store), moment * took) < 0
        again = FeatureStore.open(store.root, read_only=True)
        assert read_all(again, gone) == want
        assert read_all(FeatureStore.open(store.root, at="kept"), gone)
    assert killed, "no kill fell into the work: the test shows nothing"
    assert home.run(told(name, store)) == 0
    assert read_all(FeatureStore.open(store.root), gone) == want
    gc(store, keep=timedelta(0), grace=timedelta(0))
    checked = verify(store)
    assert (checked.problems, checked.orphans) == ([], [])
    assert {t.name for t in store.tags()} == {t.name for t in first.tags()}
    if name == "copy":
        copied = FeatureStore.open(f"{store.root}-copy")
        assert set(read_all(copied).items()) <= set(want.items())
        assert {(c, f) for c, f, _ in read_all(copied)} == {(c, f) for c, f, _ in want}
        gc(copied, keep=timedelta(0), grace=timedelta(0))
        assert verify(copied).clean


def test_a_killed_repair_withdraws_all_or_nothing(
    home: Home, scattered: FeatureStore, tmp_path: Path
) -> None:
    store = copy_of(scattered, tmp_path / "store")
    hurt = next(r for r in store.published(features=["whole"]) if r.clip == "b")
    flip(file_of(store, hurt, "values"), hurt.pieces[0].row_start * 32)
    healthy = {k: v for k, v in read_all(scattered).items() if k[:2] != ("b", "whole")}
    for moment in (0.02, 0.1, 0.2, 0.4):
        home.run(told("repair", store), moment)
        left = {
            (r.clip, r.feature, r.fingerprint): r.content
            for r in FeatureStore.open(store.root).published()
        }
        left.pop(("b", "whole", hurt.fingerprint), None)
        assert left == healthy
    assert home.run(told("repair", store)) == 0
    assert [p.clips for p in verify(store).problems] in ([], [(("c", "b"),)])
    assert not [r for r in store.published(features=["whole"]) if r.clip == "b"]


STOPPED = """
store = FeatureStore.open({root!r})
whole = tests.storage.store_kit.WHOLE
made = tests.storage.upkeep_kit.staged_together(store, whole, ('b',), seed=9)
Path({root!r} + '-pid').write_text(str(os.getpid()))
os.kill(os.getpid(), signal.SIGSTOP)
store.commit(made)
"""


@pytest.mark.parametrize("grace", [timedelta(minutes=10), timedelta(0)])
def test_a_writer_that_slept_while_others_worked_publishes_whole_results_or_none(
    home: Home, scattered: FeatureStore, tmp_path: Path, grace: timedelta
) -> None:
    store = copy_of(scattered, tmp_path / "store")
    home.start(f"exec({STOPPED.format(root=store.root)!r})")
    told = Path(f"{store.root}-pid")
    while not told.exists() or not told.read_text() or not _stopped(int(told.read_text())):
        time.sleep(0.02)
    publish_together(store, WHOLE, ("a", "b"), seed=8)
    compact(store)
    gc(store, keep=timedelta(0), grace=grace)
    before, count = read_all(store), len(store.published())
    os.kill(int(told.read_text()), signal.SIGCONT)
    # with no grace at all its part is gone, so that its commit is refused
    assert (home.ended() == 0) == bool(grace)
    assert read_all(FeatureStore.open(store.root)) == before
    assert len(FeatureStore.open(store.root).published()) - count == bool(grace)
    assert verify(store).problems == []


def _stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
