"""Failures are listed under the configuration that met them, and can be tried again there."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from corpora.adapters import load
from features.extractor import Batch
from features.spec import Rows
from flows import backoff
from flows.backoff import transient_codes
from flows.cli import commands, show  # noqa: F401
from flows.cli.app import app
from flows.ingest import ingest_manifest
from flows.pipeline import configure, parse_settings
from flows.quarantine import quarantine
from flows.request import Request
from flows.run import extract_plain
from flows.summary import Summary
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.flows import chain_kit

pytestmark = pytest.mark.usefixtures("chain")

BROKEN = "light.fail_at=5"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "a.mp4", sound=False)
    made = FeatureStore.create(tmp_path / "store")
    ingest_manifest(made, load("folder", str(tmp_path / "media"), "c"))
    return made


def run(store: FeatureStore, *settings: str, features: str = "light", **more: Any) -> Summary:
    request = Request(store.root, features, settings=parse_settings(settings), **more)
    return extract_plain(request)


def listed(store: FeatureStore) -> list[tuple[str, str, int]]:
    return [(f["clip"], f["configuration"], f["attempts"]) for f in quarantine(store)]


def said(*words: str) -> str:
    return CliRunner().invoke(app, [*words], catch_exceptions=False).output


def test_what_may_be_over_by_itself_is_tried_by_the_next_extract(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "media" / "a.mp4"
    clip.rename(tmp_path / "away.mp4")
    assert [f["code"] for f in run(store).failures] == ["media_missing"]
    (tmp_path / "away.mp4").rename(clip)
    early = run(store)
    assert (early.published, early.complete) == (0, False), "its pause isn't over"
    monkeypatch.setattr(backoff, "FIRST_PAUSE", timedelta(0))
    later = run(store)
    assert (later.published, later.complete) == (1, True)


def test_a_failure_that_is_met_again_while_a_run_goes_on_is_told(store: FeatureStore) -> None:
    """Half the light is keyed by what is read: whether it failed before is known only then."""
    broken = "half_light.parts=0"
    first = run(store, broken, features="half_light")
    assert [f["feature"] for f in first.failures] == ["half_light"]
    # computed again, and equal: what reads it fails no more and no less than before
    again = run(store, broken, "light.fail_at=-2", features="half_light")
    assert (again.published, again.quarantined, again.complete) == (1, 1, False)
    assert "1 in quarantine" in again.sentence()


def test_a_run_with_its_own_settings_has_its_failures_listed(store: FeatureStore) -> None:
    name = f"run:{run(store, BROKEN).run}"
    assert run(store).complete, "the default configuration is none the worse for it"
    assert listed(store) == [("a", name, 1)]
    (found,) = quarantine(store)
    assert found["settings"] == {"light": {"fail_at": 5}}
    text = said("failures", "--store", store.root)
    assert f"1 of them under light.fail_at=5: add --variant {name}" in text


def test_what_the_summary_says_can_be_typed(store: FeatureStore) -> None:
    words = ["extract", "--store", store.root, "-f", "light", "--no-prefect"]
    sentence = said(*words, "--set", BROKEN)
    assert "affectstore failures shows why" in sentence
    command = sentence.split("failures shows why, ")[1].split(" tries again")[0].split()
    assert command[0] == "retry"
    again = said(*command, "--store", store.root, "-f", "light", "--no-prefect")
    assert "0 published, 1 in quarantine" in again
    ((clip, name, attempts),) = listed(store)
    assert (clip, attempts) == ("a", 2)
    assert command[1:] == ["--variant", name]


def test_a_failure_of_two_configurations_is_listed_under_the_first(store: FeatureStore) -> None:
    store.save_configuration(configure(parse_settings([BROKEN]), "strict"))
    run(store, BROKEN)
    assert listed(store) == [("a", "strict", 1)]
    run(store, variant="strict", retry=True)
    assert listed(store) == [("a", "strict", 2)]
    store.save_configuration(configure(parse_settings([BROKEN])))
    assert listed(store) == [("a", "default", 2)]


def test_a_clip_that_asks_for_more_memory_than_there_is_fails_alone(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "media" / "b.mp4", sound=False)
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    usual = chain_kit.Light.extract

    def hungry(self: chain_kit.Light, batch: Batch) -> Rows:
        if batch.media.name == "a.mp4":
            np.zeros(1 << 58, np.uint8)
        return usual(self, batch)

    monkeypatch.setattr(chain_kit.Light, "extract", hungry)
    request = Request(store.root, "timeline,light,half_light")
    summary = extract_plain(request)
    assert [(f["clip"], f["feature"], f["code"]) for f in summary.failures] == [
        ("a", "light", "out_of_memory")
    ]
    assert "light ran out of memory on a.mp4 (Unable to allocate" in summary.failures[0]["message"]
    there = FeatureStore.open(store.root).catalogue("c").select(["clip", "feature"]).to_pylist()
    assert sorted((row["clip"], row["feature"]) for row in there) == [
        ("a", "timeline"),
        ("b", "half_light"),
        ("b", "light"),
        ("b", "timeline"),
    ]
    assert "out_of_memory" in transient_codes(), "another run may have the machine to itself"


def test_runs_with_equal_settings_are_one(store: FeatureStore) -> None:
    first = run(store, BROKEN)
    run(store, BROKEN)
    assert listed(store) == [("a", f"run:{first.run}", 1)]
    run(store, "light.fail_at=7")
    assert len(listed(store)) == 2


def test_what_nobody_wants_any_more_is_not_listed(store: FeatureStore, tmp_path: Path) -> None:
    run(store, BROKEN)
    run(store, "light.fail_at=7")
    assert len(listed(store)) == 2
    with pytest.MonkeyPatch.context() as patched:
        patched.delitem(chain_kit.Light.Params.model_fields, "fail_at")
        assert listed(store) == [], "a parameter that is gone can't be asked for"
    clip = tmp_path / "media" / "a.mp4"
    make_clip(clip, sound=False, seconds=2)
    os.utime(clip, ns=(1, 1))
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    assert listed(store) == [], "the clip is another one now"


def test_of_very_many_failures_the_first_are_named_and_the_rest_counted(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "xyz":
        (tmp_path / "media" / f"{name}.mp4").write_bytes(b"no film")
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    said("extract", "--store", store.root, "--no-prefect", "--features", "timeline")
    monkeypatch.setattr(show, "MOST_FAILURES", 1)
    text = said("failures", "--store", store.root)
    assert "x: timeline" in text
    assert "y: timeline" not in text
    assert "and 2 more: 2 of media_unreadable; --json shows all" in text


def test_what_fails_for_one_reason_is_told_once(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "media" / "x.mp4").write_bytes(b"no film")
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    words = ("--store", store.root, "--no-prefect", "--features", "light,timeline")
    told = said("extract", *words)
    assert told.count("x.mp4") == 1
    text = said("failures", "--store", store.root)
    assert "x: light, timeline\n  media_unreadable, 1 attempt: " in text
    assert text.count("x.mp4") == 1
