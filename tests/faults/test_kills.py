"""kill -9 at any moment: the store is readable at once, and the next run completes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from corpora.adapters import load
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from storage.gc import gc
from storage.verify import verify
from tests.real_clips import BASIC

pytestmark = pytest.mark.media

#: one clip per partition, so that there are commits between which a kill can fall
PARTITIONS = 6
#: begins a run for each line that it is given, in a process of its own that has all imports done,
#: so that a kill falls into the work; tells the process, then how it ended
SCRIPT = f"""
import os, sys
from flows.request import Request
from flows.run import extract_plain
import torch, librosa
for _ in sys.stdin:
    run = os.fork()
    if not run:
        os.setsid()
        print(os.getpid(), flush=True)
        extract_plain(Request(sys.argv[1], "{BASIC}", workers={PARTITIONS}))
        os._exit(0)
    print(os.waitpid(run, 0)[1], flush=True)
"""


def contents(store: FeatureStore) -> dict[tuple[str, str], str]:
    """(clip, feature) -> content hash; every result once."""
    rows = store.published()
    found = {(r.clip, r.feature): r.content for r in rows}
    assert len(found) == len(rows), "a result was published twice"
    return found


def kill_after(root: Path, moments: Iterator[float], count: int) -> int:
    """Start an extract and kill it, again and again; how many were killed at work."""
    killed = 0
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
        "bufsize": 1,
    }
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(root)], **pipes) as runs:
        assert runs.stdin is not None
        assert runs.stdout is not None
        for _ in range(count):
            runs.stdin.write("run\n")
            run = int(runs.stdout.readline())
            time.sleep(next(moments))
            with suppress(ProcessLookupError):
                os.killpg(run, signal.SIGKILL)
            ended = int(runs.stdout.readline())
            assert ended in (0, signal.SIGKILL)
            killed += ended == signal.SIGKILL
            store = FeatureStore.open(root, read_only=True)
            for result in store.published():
                assert len(store.read_result(result)) == result.rows
    return killed


def check_kills(media: Path, root: Path, want: dict[tuple[str, str], str], count: int) -> None:
    """Kill ``count`` times at seeded moments, then run once undisturbed."""
    ingest_manifest(FeatureStore.create(root), load(None, str(media), "real"))
    moments = random.Random(7)
    killed = kill_after(root, iter(lambda: moments.uniform(0.05, 6), None), count)
    assert killed >= count // 2, "too few kills fell into the work to show anything"
    assert extract_plain(Request(str(root), BASIC)).complete
    store = FeatureStore.open(root)
    assert contents(store) == want
    gc(store, keep=timedelta(0), grace=timedelta(0))
    checked = verify(store)
    assert (checked.problems, checked.orphans) == ([], [])
    leftovers = [p.name for p in (root / "parts").glob("*/*") if not p.name.endswith(".zarr")]
    assert leftovers == []


def test_eight_kills_and_a_clean_run(short_media: Path, real_store: Path, tmp_path: Path) -> None:
    want = contents(FeatureStore.open(real_store))
    check_kills(short_media, tmp_path / "store", want, 8)


@pytest.mark.long
def test_fifty_kills_and_a_clean_run(short_media: Path, real_store: Path, tmp_path: Path) -> None:
    want = contents(FeatureStore.open(real_store))
    check_kills(short_media, tmp_path / "store", want, 50)
