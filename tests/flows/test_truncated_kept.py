"""What is there of a truncated file is read where media.truncated=keep says so, and only there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpora.adapters import load
from features.errors import UnknownParameter
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.configured import change
from flows.describe import describe
from flows.ingest import ingest_manifest
from flows.pipeline import configure, default_of, parse_settings
from flows.quarantine import quarantine
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.summary import Summary
from storage import FeatureStore, NotPublished
from tests.features.made_clips import ffmpeg, make_clip

pytestmark = pytest.mark.usefixtures("chain")

KEEP = "media.truncated=keep"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """One whole clip, and one that lacks its second half."""
    (tmp_path / "media").mkdir()
    whole = make_clip(tmp_path / "media" / "whole.mp4", "-g", "5", sound=False, seconds=2.0)
    fast = tmp_path / "fast.mp4"
    ffmpeg("-i", str(whole), "-c", "copy", "-movflags", "faststart", str(fast))
    data = fast.read_bytes()
    content = data.index(b"mdat")
    half = data[: content + (len(data) - content) * 6 // 10]
    (tmp_path / "media" / "half.mp4").write_bytes(half)
    made = FeatureStore.create(tmp_path / "store")
    ingest_manifest(made, load("folder", str(tmp_path / "media"), "c"))
    return made


def run(store: FeatureStore, *settings: str, variant: str | None = None) -> Summary:
    request = Request(store.root, "light", settings=parse_settings(settings), variant=variant)
    return extract_plain(request)


def rows(store: FeatureStore) -> dict[str, int]:
    found = {clip: store.current(clip, "c") for clip in ("half", "whole")}
    return {clip: p.rows for clip, some in found.items() for p in some if p.feature == "light"}


def test_a_truncated_file_is_quarantined_unless_it_is_to_be_kept(store: FeatureStore) -> None:
    first = run(store)
    assert [(f["clip"], f["code"]) for f in first.failures] == [("half", "media_truncated")]
    assert "media.truncated=keep" in first.failures[0]["message"]
    assert rows(store) == {"whole": 20}
    change(store, parse_settings([KEEP]))
    again = run(store)
    assert (again.failures, again.complete) == ([], True)
    assert rows(store) == {"half": 10, "whole": 20}
    assert quarantine(store) == []


def test_the_plan_names_the_setting_and_takes_up_what_was_quarantined(store: FeatureStore) -> None:
    run(store)
    assert plan_request(store, Request(store.root, "light")).tasks == 0
    plan = plan_request(store, Request(store.root, "light", settings=parse_settings([KEEP])))
    assert plan.by_feature["light"].reasons == {
        "new clip": 1,
        "setting media.truncated quarantine→keep": 1,
    }


def test_a_variant_keeps_its_results_apart(store: FeatureStore) -> None:
    run(store)
    change(store, parse_settings([KEEP]), "as_is")
    assert run(store, variant="as_is").complete
    assert len(store.read("half", "light", variant="as_is").values) == 10
    with pytest.raises(NotPublished, match="quarantine"):
        store.read("half", "light")
    change(store, parse_settings(["media.truncated=quarantine"]), "as_is")
    back = plan_request(store, Request(store.root, "light", variant="as_is"))
    assert (back.tasks, back.quarantined) == (0, 1)


def test_only_a_value_other_than_the_default_is_in_the_keys_and_of_readers_of_media_only() -> None:
    plain, said, kept = (
        {n.feature: n.extractor_key for n in configure(parse_settings(settings)).nodes}
        for settings in ([], ["media.truncated=quarantine"], [KEEP])
    )
    assert plain == said
    reading = {n.feature for n in configure({}).nodes if n.reads_media}
    assert {f for f in plain if plain[f] != kept[f]} == reading
    assert reading < set(plain)


def test_wrong_settings_are_told_with_the_nearest_name() -> None:
    for text, told in (
        ("media.truncate=keep", r"media has no parameter 'truncate' \(did you mean 'truncated'"),
        ("media.truncated=drop", r"media\.truncated: Input should be 'quarantine' or 'keep'"),
        ("medium.truncated=keep", "did you mean 'media'"),
    ):
        with pytest.raises(UnknownParameter, match=told):
            configure(parse_settings([text]))


def test_config_and_features_show_name_it(store: FeatureStore) -> None:
    def said(*words: str) -> str:
        return CliRunner().invoke(app, [*words], catch_exceptions=False).output

    said("config", "set", KEEP, "--store", store.root)
    assert said("config", "show", "--store", store.root).strip() == KEEP
    differs = json.loads(said("config", "diff", "--store", store.root, "--json"))
    assert differs == [{"parameter": "media.truncated", "default": "keep", "-": "quarantine"}]
    assert default_of("media", "truncated") == "quarantine"
    shown = said("features", "show", "light")
    assert "media.truncated = quarantine" in shown
    assert describe("light")["media"]["media.truncated"]["default"] == "quarantine"
