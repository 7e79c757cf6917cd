"""Shards of an array job: each does its own clips to the end, whichever comes first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpora.adapters import load
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from storage.forget import forget
from tests.features.made_clips import make_clip

pytestmark = pytest.mark.usefixtures("chain")


def test_a_shard_goes_on_from_what_another_corpus_has(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for i in range(4):
        make_clip(media / f"{i}.mp4", picture=f"testsrc2=size=64x{48 + 2 * i}:rate=10", sound=False)
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load("folder", str(media), "c"))
    assert extract_plain(Request(store.root, "light")).published == 4
    shutil.copytree(media, tmp_path / "copies")
    ingest_manifest(store, load("folder", str(tmp_path / "copies"), "d"))
    done = [
        extract_plain(Request(store.root, "half_light", corpus="d", shard=f"{i}/3"))
        for i in (3, 2, 1)
    ]
    assert all(summary.complete for summary in done)
    assert sum(summary.published for summary in done) == 4
    assert [s.adopted for s in done] == [s.published for s in done], "each shard's own clips"
    assert sum(summary.published > 0 for summary in done) > 1
    plan = plan_request(store, Request(store.root, "half_light", corpus="d"))
    assert (plan.tasks, plan.maybe, plan.adopted.num_rows) == (0, 0, 0)


def test_a_forgotten_clip_keeps_nobody_from_its_work(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    make_clip(media / "gone.mp4", sound=False)
    make_clip(media / "same.mp4", sound=False, picture="testsrc2=size=64x50:rate=10")
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load("folder", str(media), "c"))
    assert extract_plain(Request(store.root, "light")).published == 2
    forget(store, [("c", "gone")])
    shutil.copytree(media, tmp_path / "copies")
    (tmp_path / "copies" / "broken.mp4").write_bytes(b"no media" * 50)
    ingest_manifest(store, load("folder", str(tmp_path / "copies"), "d"))
    done = [extract_plain(Request(store.root, "light", shard=f"{i}/2")) for i in (1, 2)]
    assert sum(s.adopted for s in done) == 1
    assert sum(s.published for s in done) == 1
    again = [extract_plain(Request(store.root, "light", shard=f"{i}/2")) for i in (1, 2)]
    assert sum(s.quarantined for s in again) == 1
