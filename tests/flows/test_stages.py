"""Work for a GPU kept apart from the rest: which features, in which order, on which workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from corpora.adapters import load
from features.registry import declarations
from flows import execute as execution
from flows.backoff import WORKER_DIED
from flows.coordinator import Coordinator
from flows.device import card_names
from flows.execute import Results
from flows.ingest import ingest_manifest
from flows.partition import Partition
from flows.pipeline import configure, parse_settings, select, with_ancestors
from flows.process_runner import _obeys
from flows.request import Request
from flows.run import extract_plain, make_partitions, prepare
from flows.runners import LocalRunner, WorkerDied
from flows.stages import AFTER, CPU, GPU, split
from flows.summary import Progress, Summary
from storage import FeatureStore
from storage.records import Node
from tests.features.made_clips import make_clip

FEATURES = "audio_16k,mfcc_mel,shortterm_34,faces,face_track,face_112"


def nodes(asked: str, *settings: str) -> tuple[Node, ...]:
    configuration = configure(parse_settings(settings))
    return with_ancestors(configuration, select(configuration, asked))


def shares(asked: str, *settings: str) -> dict[str, tuple[str, ...]]:
    wanted = nodes(asked, *settings)
    return split(wanted, [n.feature for n in wanted])


def test_every_feature_runs_in_one_stage_and_none_waits_for_a_later_one() -> None:
    wanted = nodes("all")
    found = split(wanted, [n.feature for n in wanted])
    stage_of = {f: stage for stage, some in found.items() for f in some}
    assert len(stage_of) == sum(map(len, found.values())) == len(wanted)
    for node in wanted:
        before = {stage_of[feature] for _, feature in node.inputs}
        assert before <= {GPU: {GPU}, CPU: {CPU}, AFTER: {GPU, CPU, AFTER}}[stage_of[node.feature]]
    for node in wanted:
        if declarations()[node.extractor].device == "gpu":
            assert stage_of[node.feature] == GPU


def test_sound_and_containers_leave_the_gpu_alone() -> None:
    found = shares(f"{FEATURES},opensmile_is10,openface")
    assert {"audio_16k", "shortterm_34", "opensmile_is10"} <= {*found[CPU]}
    assert {"mfcc_mel", "openface"} <= {*found[AFTER]}
    assert {"timeline", "faces", "face_track", "face_112"} <= {*found[GPU]}


def test_what_a_gpu_feature_reads_comes_before_it_in_its_stage() -> None:
    found = shares("expnet", "expnet.face=openface_face_112")
    assert found[GPU].index("openface_face_112") < found[GPU].index("expnet")
    assert found[CPU] == found[AFTER] == ()


def test_only_what_is_to_do_counts() -> None:
    every = nodes("all")
    assert split(every, ["audio_16k", "mfcc_mel", "face_mask"])[CPU] == (
        *("audio_16k", "mfcc_mel", "face_mask"),
    )
    assert split(every, ["mfcc_mel", "expnet"]) == {
        GPU: ("expnet",),
        CPU: ("mfcc_mel",),
        AFTER: (),
    }


@pytest.fixture
def media_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in "abc":
        make_clip(folder / f"{name}.mp4", picture=f"testsrc2=size=64x48:rate={20 + ord(name)}")
    return folder


def new_store(root: Path, media: Path) -> FeatureStore:
    store = FeatureStore.create(root)
    ingest_manifest(store, load("folder", str(media), "c"))
    return store


def contents(store: FeatureStore) -> dict[tuple[str, str], str]:
    rows = store.published()
    found = {(r.clip, r.feature): r.content for r in rows}
    assert len(found) == len(rows), "a result was published twice"
    return found


class Apart(LocalRunner):
    """In this process, as if it had a worker with a GPU; notes what it executed."""

    gpu_slots = 1

    def __init__(self, deaths: Sequence[str] = ()) -> None:
        super().__init__()
        self.executed: list[Partition] = []
        self._deaths = [*deaths]

    def submit(self, partition: Partition) -> Future[Results]:
        self.executed.append(partition)
        if partition.stage in self._deaths:
            self._deaths.remove(partition.stage)
            died: Future[Results] = Future()
            died.set_exception(WorkerDied("it died"))
            return died
        return super().submit(partition)


def run_apart(store: FeatureStore, on: Apart, **more: Any) -> Summary:
    request = Request(store.root, FEATURES, device="cpu", **more)
    plan, works, summary = prepare(store, request)
    made = make_partitions(store, request, plan, works, on, summary.run)
    coordinator = Coordinator(store, made, on, summary, Progress())
    coordinator.run(made)
    summary.lost += coordinator.lost
    return summary


@pytest.fixture
def whole(tmp_path: Path, media_folder: Path) -> tuple[FeatureStore, Summary]:
    """A store whose clips were run in one stage, and what that run said."""
    store = new_store(tmp_path / "whole", media_folder)
    return store, extract_plain(Request(store.root, FEATURES, device="cpu"))


def test_stages_apart_say_and_publish_what_one_stage_does(
    tmp_path: Path, media_folder: Path, whole: tuple[FeatureStore, Summary]
) -> None:
    store, on = new_store(tmp_path / "apart", media_folder), Apart()
    told = run_apart(store, on)
    assert [p.stage for p in on.executed] == [CPU, GPU, AFTER]
    assert contents(store) == contents(whole[0])
    mine, theirs = told.to_json(), whole[1].to_json()
    for key in ("run", "seconds"):
        mine.pop(key), theirs.pop(key)
    assert mine == theirs
    assert told.clips == 3


def test_a_stage_whose_worker_dies_is_tried_again_clip_by_clip(
    tmp_path: Path, media_folder: Path, whole: tuple[FeatureStore, Summary]
) -> None:
    store, on = new_store(tmp_path / "apart", media_folder), Apart([GPU, GPU, AFTER, AFTER])
    assert run_apart(store, on).complete
    assert [p.stage for p in on.executed] == [CPU, *[GPU] * 5, *[AFTER] * 5]
    assert contents(store) == contents(whole[0])


def test_a_clip_that_kills_its_worker_is_in_quarantine_and_what_follows_waits(
    tmp_path: Path, media_folder: Path, whole: tuple[FeatureStore, Summary]
) -> None:
    store, on = new_store(tmp_path / "apart", media_folder), Apart([GPU] * 5)
    told = run_apart(store, on)
    assert (told.lost, told.complete) == ([], False)
    assert {f["code"] for f in told.failures} == {WORKER_DIED}
    assert {f["clip"] for f in told.failures} == {c.clip for c in on.executed[0].clips}
    assert {p.feature for p in store.published()} == {"audio_16k", "shortterm_34"}
    assert run_apart(store, Apart(), retry=True).complete
    assert contents(store) == contents(whole[0])


def test_an_interrupted_run_is_completed_by_the_next(
    tmp_path: Path, media_folder: Path, whole: tuple[FeatureStore, Summary]
) -> None:
    store = new_store(tmp_path / "apart", media_folder)

    class OneStage(Apart):
        def submit(self, partition: Partition) -> Future[Results]:
            done = super().submit(partition)
            done.result().interrupted = True
            return done

    assert run_apart(store, OneStage()).interrupted
    assert 0 < len(store.published()) < len(contents(whole[0]))
    assert run_apart(store, Apart()).complete
    assert contents(store) == contents(whole[0])


def test_each_process_for_a_gpu_sees_a_card_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setattr(execution, "stop_requested", execution.stop_requested)
    before = signal.getsignal(signal.SIGINT)
    seen = []
    try:
        for card in card_names(2):
            _obeys(multiprocessing.get_context("spawn").Event(), card)
            seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["4", "7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert card_names(3) == ["0", "1", "2"]
