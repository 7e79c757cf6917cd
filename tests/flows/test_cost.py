"""What a plan says of time and bytes, and what it warns of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from corpora.adapters import load
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.cost import COST_COLUMNS, Amount, estimate
from flows.ingest import ingest_manifest
from flows.pipeline import configure
from flows.plan import FeaturePlan
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.flows import chain_kit

#: of one value, its validity and digest
ROW = 4 + 1 + 8


def new_store(folder: Path, names: str) -> FeatureStore:
    media = folder / "media"
    media.mkdir(exist_ok=True)
    for name in names:
        picture = f"testsrc2=size=64x{ord(name) // 2 * 2}:rate=10"
        make_clip(media / f"{name}.mp4", picture=picture, sound=False, seconds=2)
    store = FeatureStore.create(folder / "store", exist_ok=True)
    ingest_manifest(store, load("folder", str(media), "c"))
    return store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeatureStore]:
    with chain_kit.installed(monkeypatch, chain_kit.ALL):
        yield new_store(tmp_path, "a")


def said(store: FeatureStore, command: str, *words: str) -> str:
    done = CliRunner().invoke(app, [command, "--store", store.root, *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_bytes_are_those_that_the_declaration_and_the_headers_tell(store: FeatureStore) -> None:
    costs = plan_request(store, Request(store.root, "light,half_light")).costs
    assert costs["light"].bytes == pytest.approx(20 * ROW)
    assert (costs["half_light"].bytes, costs["half_light"].maybe_bytes) == (0, 20 * ROW)


def test_what_was_stored_of_the_like_tells_better(store: FeatureStore, tmp_path: Path) -> None:
    assert extract_plain(Request(store.root, "light")).complete
    stored = sum(result.bytes for result in store.published())
    new_store(tmp_path, "ax")
    plan = plan_request(store, Request(store.root, "light"))
    assert plan.costs["light"].bytes == pytest.approx(stored)
    assert plan.to_json()["bytes"] == {"sure": stored, "maybe": 0}


def test_time_is_judged_by_whole_clips_of_the_same_extractor_if_there_are_any() -> None:
    node = next(n for n in configure({}).nodes if n.feature == "face_112")
    clips = pa.table({"corpus": ["c"], "clip": ["a"], "duration": [10.0]})
    mine, other = node.extractor_key, "an earlier one"
    # the last row of a clip takes its decode, too
    some, slow, quick = (other, 1, 9.0), (other, 100, 40.0), (mine, 100, 20.0)
    for facts, seconds in (([some], 9000), ([some, slow], 400), ([some, slow, quick], 200)):
        rows = [
            ("c", "a", "face_112", key, 100, computed, taken, 0) for key, computed, taken in facts
        ]
        catalogue = pa.table(
            [list(column) for column in zip(*rows, strict=True)], list(COST_COLUMNS)
        )
        plans = {"face_112": FeaturePlan(sure=Amount(10, 100.0, 1000))}
        (cost,) = estimate(plans, [node], clips, catalogue).values()
        assert cost.seconds == pytest.approx(seconds)


def test_a_plan_says_of_how_much_it_does_not_know_the_time(
    store: FeatureStore, tmp_path: Path
) -> None:
    told = said(store, "plan", "--features", "light,half_light")
    assert ": 2 features not timed yet" in told
    assert "to be stored" in told
    assert extract_plain(Request(store.root, "light")).complete
    new_store(tmp_path, "ax")
    told = said(store, "plan", "--features", "light,half_light")
    assert "at least" in told
    assert "of work, 1 feature not timed yet" in told
    assert extract_plain(Request(store.root, "light,half_light")).complete
    new_store(tmp_path, "axz")
    told = said(store, "plan", "--features", "light,half_light")
    assert "about" in told
    assert "not timed" not in told


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_run_that_may_not_fit_on_the_disk_is_warned_of_and_started(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(999, 899, 100))
    for command in ("plan", "extract"):
        more = ["--no-prefect"] if command == "extract" else []
        told = said(store, command, "--features", "light", *more)
        assert "this may take 260 B, and 100 B are free" in told
    assert "this may take" not in said(store, "plan", "--features", "light")


def test_images_that_no_clip_brings_are_left_out_of_all(tmp_path: Path) -> None:
    store = new_store(tmp_path, "a")
    plan = plan_request(store, Request(store.root, "all"))
    assert "no clip has what it is made of (asset.faces" in plan.skipped["faces_provided"]
    assert "faces_provided" not in plan.by_feature
    asked = plan_request(store, Request(store.root, "faces_provided"))
    assert asked.by_feature["faces_provided"].clips == 1
    (tmp_path / "faces").mkdir()
    media = tmp_path / "media" / "a.mp4"
    table = tmp_path / "t.csv"
    table.write_text(f"clip_id,path,asset.faces\na,{media},{tmp_path / 'faces'}\nb,{media},\n")
    ingest_manifest(store, load("table", str(table), "d"))
    assert "faces_provided" not in plan_request(store, Request(store.root, "all")).skipped
    mine = plan_request(store, Request(store.root, "all", corpus="c"))
    assert "faces_provided" in mine.skipped


@pytest.mark.parametrize(
    "feature", ["stft_map", "logmel_64", "spectrogram_192x120", "shortterm_34"]
)
def test_bytes_of_segments_are_told_by_how_often_they_come(feature: str, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "a.mp4", seconds=30)
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    request = Request(store.root, feature)
    cost = plan_request(store, request).costs[feature]
    assert extract_plain(request).complete
    stored = sum(r.bytes for r in store.published() if r.feature == feature)
    assert cost.bytes + cost.maybe_bytes == pytest.approx(stored, rel=0.15)
