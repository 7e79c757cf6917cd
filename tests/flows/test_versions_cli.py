"""tag, tags, log, diff and --at, as the command line gives them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from features.spec import Rows
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from storage import Configuration, FeatureStore, TagExists, UnknownVersion
from storage.keys import fingerprint
from tests.storage.store_kit import FACES, extracted, failure, make_rows, new_store, node

Run = Callable[..., str]

OLD = replace(make_rows(FACES, 20, seed=1), valid=np.ones(20, bool))
CHANGED = [3, 4, 5, 11]


def _new() -> Rows:
    values = OLD.values.copy()
    values[CHANGED] += 0.5  # type: ignore[operator]
    return replace(OLD, values=values)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Two clips' faces; then, after the tag, one of them anew, made by another parameter."""
    store = new_store(tmp_path / "store")
    one = node(FACES)
    other = replace(one, params={"min_face": 40.0}, extractor_key="other")
    store.save_configuration(Configuration("default", "1", (one,), {}))
    for clip in "ab":
        extracted(store, clip, FACES, one, OLD)
    store.tag("before", "as [submitted]")
    store.save_configuration(Configuration("default", "2", (other,), {"faces": {"min_face": 40.0}}))
    extracted(store, "a", FACES, other, _new())
    key = fingerprint(other, store.clip("b")["media_key"], {}, {})
    store.commit([], [failure("b", other, key, "no frame")])
    return store


@pytest.fixture
def run(store: FeatureStore) -> Run:
    def invoke(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--store", store.root], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


@pytest.fixture
def facts(run: Run) -> Callable[..., Any]:
    return lambda *words: json.loads(run(*words, "--json"))


def test_a_tag_is_set_listed_moved_and_deleted(run: Run, facts: Callable[..., Any]) -> None:
    assert run("tag", "after", "-m", "printed").startswith("after stands for catalogue version 3")
    told = run("tags")
    assert "as [submitted]" in told
    assert "printed" in told
    assert [t["name"] for t in facts("tags")] == ["before", "after"]
    with pytest.raises(TagExists, match="--move"):
        run("tag", "before")
    run("tag", "before", "--move")
    assert {t["versions"]["catalogue"] for t in facts("tags")} == {3}
    assert "before stood for" in run("tag", "before", "--delete")
    run("tag", "after", "--delete")
    assert "no tags yet" in run("tags")


def test_an_earlier_point_is_tagged_with_at(run: Run, facts: Callable[..., Any]) -> None:
    run("tag", "first", "--at", "1")
    assert facts("tags")[-1]["versions"]["catalogue"] == 1


def test_delete_goes_with_no_other_option(store: FeatureStore) -> None:
    words = ["tag", "before", "--delete", "--move", "--store", store.root]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert [tag.name for tag in store.tags()] == ["before"]


def test_the_log_shows_versions_times_and_tags(run: Run, facts: Callable[..., Any]) -> None:
    lines = run("log").splitlines()
    (line,) = [x for x in lines if x.rstrip().endswith("before") and "tag" not in x]
    assert line.split()[0] == "2"
    assert "1 result in quarantine" in lines[1]
    assert [c["version"] for c in facts("log") if c["table"] == "catalogue"] == [3, 2, 1, 0]
    assert len(facts("log", "-n", "2")) == 2
    assert "older changes" in run("log", "-n", "2")


def test_a_time_of_the_log_is_a_point_to_read_at(
    run: Run, facts: Callable[..., Any], store: FeatureStore
) -> None:
    (line,) = [x for x in run("log").splitlines() if x.split()[0] == "2"]
    time = line.split()[1]
    assert FeatureStore.open(store.root, at=time).versions["catalogue"] == 2
    then = facts("log", "--at", time)
    assert max(c["version"] for c in then if c["table"] == "catalogue") == 2


def test_a_diff_names_the_clip_the_frames_and_the_reason(run: Run) -> None:
    told = run("diff", "before", "--detail")
    assert "c/a: rows 3-5, 11 (4 of 20); max 0.5, mean 0.5" in told
    assert "c/b" not in told
    assert "faces: parameter faces.min_face 20→40 (1 clip)" in told
    (row,) = [x.split() for x in told.splitlines() if x.startswith("faces  ")]
    assert row == ["faces", "~1", "1", "~4", "10", "%", "0.5", "0.5", "-"]
    assert "c/a" not in run("diff", "before")


def test_a_diff_in_json_holds_the_same(facts: Callable[..., Any]) -> None:
    found = facts("diff", "before", "now")
    assert (found["from"], found["to"]) == ("before", "now")
    assert (found["a"]["catalogue"], found["b"]["catalogue"]) == (2, 3)
    (feature,) = found["features"]
    (clip,) = feature["changed"]
    assert (clip["clip"], clip["rows"]) == ("a", CHANGED)
    assert (feature["same"], feature["rows_compared"], feature["share"]) == (1, 40, 0.1)
    assert feature["max_abs"] == 0.5
    assert clip["before"]["content"] != clip["after"]["content"]


def test_clips_that_came_and_went_are_named(run: Run) -> None:
    assert "c/b: added" in run("diff", "0", "before", "--detail")
    assert "c/b: removed" in run("diff", "before", "0", "--detail")


def test_equal_points_have_no_difference(run: Run) -> None:
    assert run("diff", "2", "before") == "no difference between 2 and before\n"


def test_a_configuration_s_reader_is_compared_on_demand(
    facts: Callable[..., Any], store: FeatureStore
) -> None:
    store.save_configuration(Configuration("default", "1", (node(FACES),), {}))
    assert facts("diff", "before", "--variant", "default")["features"][0]["changed"] == []
    assert facts("diff", "before")["features"][0]["changed"][0]["rows"] == CHANGED


def test_who_goes_back_is_told_that_the_newest_results_are_not_read(
    run: Run, facts: Callable[..., Any], store: FeatureStore
) -> None:
    assert "a read gives" not in run("diff", "before")
    store.save_configuration(Configuration("default", "1", (node(FACES),), {}))
    store.tag("back")
    assert facts("diff", "before")["not_read"] == {"a": {}, "b": {"faces": 1}}
    told = " ".join(run("diff", "before", "back").split())
    assert "as of back, what was computed last isn't what a read gives, of faces (1 clip)" in told
    # no newer result, and other reads
    told = run("diff", "3", "back")
    assert "no difference between 3 and back" in told
    assert "--variant default" in told
    assert "no difference between before under default and back under default" in run(
        "diff", "before", "back", "--variant", "default"
    )


def test_two_configurations_are_compared(
    run: Run, facts: Callable[..., Any], store: FeatureStore
) -> None:
    store.save_configuration(Configuration("small", "1", (node(FACES),), {}))
    told = run("diff", "now", "--against", "small", "--detail")
    assert "c/a: rows 3-5, 11 (4 of 20); max 0.5, mean 0.5" in told
    assert "faces: parameter faces.min_face 40→20 (1 clip)" in told
    # of b, default has a failure and an older result
    assert "c/b: added" in told
    found = facts("diff", "now", "--variant", "small", "--against", "default")
    assert (found["variant"], found["against"]) == ("small", "default")
    assert found["features"][0]["removed"] == [{"corpus": "c", "clip": "b"}]


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("failures",),
        ("inspect", "a"),
        ("export", "-f", "faces", "--to", "x.npy"),
        ("picture", "a", "--to", "x.png"),
        ("config", "show"),
        ("log",),
        ("tag", "new"),
    ],
)
def test_every_read_refuses_a_point_that_is_not_there(run: Run, words: tuple[str, ...]) -> None:
    with pytest.raises(UnknownVersion, match="did you mean 'before'"):
        run(*words, "--at", "befor")


def test_inspect_export_and_config_show_what_was_tagged(
    run: Run, facts: Callable[..., Any], tmp_path: Path
) -> None:
    for at, rows in (("before", OLD), ("now", _new())):
        file = tmp_path / f"{at}.npy"
        run("export", "-f", "faces", "--clip", "a", "--to", str(file), "--at", at)
        np.testing.assert_array_equal(np.load(file), rows.values)
    then, now = (facts("inspect", "a", "--at", at)["features"]["faces"] for at in ("before", "3"))
    assert then["content"] != now["content"]
    assert now["params"] == {"min_face": 40.0}
    assert "min_face=40" in run("config", "show")
    assert "default" in run("config", "show", "--at", "before")


def test_status_and_failures_of_a_tag_are_by_the_configuration_of_then(
    facts: Callable[..., Any],
) -> None:
    then = facts("status", "--at", "before")["corpora"]["c"]["features"]
    assert {f: (n["published"], n["stale"]) for f, n in then.items()} == {"faces": (2, 0)}
    after = facts("status", "--at", "now")["corpora"]["c"]["features"]["faces"]
    assert (after["published"], after["quarantined"]) == (1, 1)
    assert [f["message"] for f in facts("failures", "--at", "now")] == ["no frame"]
    assert facts("failures", "--at", "before") == []


@pytest.mark.media
def test_a_detector_change_between_two_tags_is_named_to_the_frame(
    media: Path, tmp_path: Path
) -> None:
    shutil.copy(media / "a07_three_people_no_audio.mp4", tmp_path)
    root = str(tmp_path / "store")

    def invoke(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--store", root], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    invoke("ingest", str(tmp_path), "--corpus", "c")
    extract = ("extract", "--no-prefect", "--workers", "1", "--features", "timeline,face_track")
    invoke(*extract)
    invoke("tag", "before")
    invoke(*extract, "--set", "faces.thresholds=[.6,.7,.999]")
    invoke("tag", "after")
    found = json.loads(invoke("diff", "before", "after", "--json"))["features"]
    store = FeatureStore.open(root)
    named = {f["feature"]: f["changed"][0]["rows"] if f["changed"] else [] for f in found}
    assert named == {f: _brute(store, f) for f in ("timeline", "faces", "identity", "face_track")}
    assert named["timeline"] == []
    assert 0 < len(named["faces"]) < 30
    (faces,) = [f for f in found if f["feature"] == "faces"]
    assert faces["items"][1] < faces["items"][0]
    assert list(faces["why"]) == ["parameter faces.thresholds [0.6,0.7,0.7]→[0.6,0.7,0.999]"]


def _brute(store: FeatureStore, feature: str) -> list[int]:
    """Frames whose rows differ between a feature's first and last result."""
    results = store.published(features=[feature])
    old, new = store.read_result(results[0]), store.read_result(results[-1])
    pairs = ((old.slice(i, i + 1), new.slice(i, i + 1)) for i in range(old.rows))
    return [
        i
        for i, (a, b) in enumerate(pairs)
        if a.values.tobytes() != b.values.tobytes() or a.valid != b.valid
    ]
