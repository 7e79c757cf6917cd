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
