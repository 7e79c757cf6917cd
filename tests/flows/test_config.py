"""The configuration that a store keeps, as the command line changes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.errors import UnknownParameter
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.pipeline import configure
from storage import FeatureStore, UnknownVariant

Run = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    FeatureStore.create(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def run(root: Path) -> Run:
    def invoke(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--store", str(root)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


def settings(root: Path, name: str = "default") -> dict[str, Any]:
    found = FeatureStore.open(root).configuration(name)
    assert found is not None
    return found.settings


def test_a_setting_stays_until_it_is_set_back(run: Run, root: Path) -> None:
    run("config", "set", "faces.min_face=40", "face_track.min_score=.8")
    assert settings(root) == {"faces": {"min_face": 40.0}, "face_track": {"min_score": 0.8}}
    assert "faces.min_face=40" in run("config", "show")
    run("config", "set", "faces.min_face=20")
    assert settings(root) == {"face_track": {"min_score": 0.8}}


def test_setting_the_same_again_makes_no_new_version(run: Run) -> None:
    assert "version 1" in run("config", "set", "faces.min_face=40")
    assert "version 1" in run("config", "set", "faces.min_face=40.0")
    assert "version 2" in run("config", "set", "faces.min_face=30")


def test_variants_live_beside_the_default(run: Run, root: Path) -> None:
    run("config", "set", "--variant", "small", "faces.min_face=12")
    run("config", "set", "faces.min_face=40")
    assert settings(root, "small") == {"faces": {"min_face": 12.0}}
    told = run("config", "diff", "default", "small")
    assert told.startswith("faces.min_face: 40.0 in default, 12.0 in small")


def test_an_unknown_variant_is_refused_before_anything_runs(run: Run) -> None:
    with pytest.raises(UnknownVariant, match="small"):
        run("plan", "--variant", "small")


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN"])
def test_a_value_that_no_key_can_hold_is_refused(run: Run, root: Path, value: str) -> None:
    with pytest.raises(UnknownParameter, match=r"faces\.min_face: .*finite"):
        run("config", "set", f"faces.min_face={value}")
    assert FeatureStore.open(root).configuration() is None


def test_a_variant_is_deleted_and_the_default_one_is_not(run: Run, root: Path) -> None:
    run("config", "set", "--variant", "small", "faces.min_face=12")
    assert "small is deleted" in run("config", "delete", "small")
    assert FeatureStore.open(root).configuration("small") is None
    with pytest.raises(UnknownVariant, match="default"):
        run("config", "delete", "default")


def test_gc_says_what_is_superseded(run: Run) -> None:
    told = run("gc", "--superseded", "--dry-run")
    assert told.startswith("0 superseded results (0 B) would leave the newest version")


def test_where_a_conf_lies_is_in_no_key_and_its_content_is(tmp_path: Path) -> None:
    pytest.importorskip("opensmile", reason="pip install affectstore[opensmile]")
    here, there = tmp_path / "here.conf", tmp_path / "there.conf"
    for path in (here, there):
        path.write_text("one")

    def key(path: Path) -> str:
        made = configure({"opensmile_custom": {"config": str(path)}})
        return next(n.extractor_key for n in made.nodes if n.feature == "opensmile_custom")

    first = key(here)
    assert key(there) == first
    there.write_text("two")
    assert key(there) != first
