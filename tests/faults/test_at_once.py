"""Extracts, a garbage collector and readers at once on one store: nothing is lost or half."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from corpora.adapters import load
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import plan_request
from storage import FeatureStore
from storage.content import content_hash
from storage.gc import gc
from tests.real_clips import BASIC, QUICK, SHORT, linked

pytestmark = pytest.mark.media

SCRIPT = """
import sys
from flows.request import Request
from flows.run import extract_plain
summary = extract_plain(Request(sys.argv[1], features=sys.argv[2], workers=3))
assert summary.complete, summary.sentence()
"""
ASKED = ("faces,face_112", "face_track,face_112x96", "mfcc_mel,audio_16k", BASIC)


@pytest.mark.parametrize(
    "starts", [QUICK, pytest.param(SHORT, marks=pytest.mark.long)], ids=["few", "all"]
)
def test_four_extracts_a_collector_and_two_readers(
    media: Path, real_store: Path, tmp_path: Path, starts: tuple[str, ...]
) -> None:
    root, clips = tmp_path / "store", linked(media, tmp_path / "media", starts)
    ingest_manifest(FeatureStore.create(root), load(None, str(clips), "real"))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(root), asked], stderr=subprocess.PIPE, text=True
        )
        for asked in ASKED
    ]
    over, errors, rounds = threading.Event(), list[BaseException](), [0, 0, 0]

    def loop(number: int, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            while not over.is_set() and not errors:
                try:
                    work()
                    rounds[number] += 1
                except BaseException as error:
                    errors.append(error)
                over.wait(0.2)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def read() -> None:
        store = FeatureStore.open(root, read_only=True)
        for result in store.published():
            rows: Rows = store.read_result(result)
            assert content_hash(rows) == result.content, (result.clip, result.feature)

    def collect() -> None:
        gc(FeatureStore.open(root), keep=timedelta(0), grace=timedelta(minutes=10))

    threads = [loop(0, collect), loop(1, read), loop(2, read)]
    told = [p.communicate(timeout=280)[1] for p in running]
    over.set()
    for thread in threads:
        thread.join()
    assert [p.returncode for p in running] == [0] * len(ASKED), told
    assert errors == []
    assert min(rounds) > 0
    store = FeatureStore.open(root)
    want = {
        (r.clip, r.feature): r.content
        for r in FeatureStore.open(real_store).published()
        if r.clip.startswith(starts)
    }
    assert len(want) >= len(starts) * len(BASIC.split(","))
    assert {(r.clip, r.feature): r.content for r in store.published()} == want
    plan = plan_request(store, Request(str(root), BASIC))
    assert (plan.tasks, plan.maybe) == (0, 0)
