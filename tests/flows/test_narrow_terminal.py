"""What facts look like on a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.cli.options import out
from storage import FeatureStore
from tests.storage.store_kit import FACES, extracted, make_rows, new_store, node

NARROW = 80


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "_width", NARROW)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = new_store(tmp_path / "store", ("sessions/talk_03", "b"))
    extracted(made, "sessions/talk_03", FACES, node(FACES), make_rows(FACES, 20))
    return made


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize("words", [("features", "list"), ("weights", "list")])
def test_no_word_is_broken(words: tuple[str, ...]) -> None:
    told = run(*words)
    assert all(len(line) <= NARROW for line in told.splitlines())
    assert "non-commercial" in told


def test_where_a_feature_runs_is_told_on_a_narrow_terminal_too() -> None:
    told = run("features", "list").splitlines()
    expnet = next(line for line in told if line.startswith("expnet "))
    assert expnet.split()[1:5] == ["frame", "2048", "float32", "gpu"]


def test_a_terminal_of_60_columns_still_shows_what_can_not_be_computed(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "_width", 60)
    told = run("features", "list")
    assert all(len(line) <= 60 for line in told.splitlines())
    assert all(word in told for word in ("weights", "(missing)", "float32", "segment"))
    assert "published  stale  missing  quarantined" in run("status", "--store", store.root)


def test_a_clips_features_take_a_line_each(store: FeatureStore) -> None:
    told = run("inspect", "sessions/talk_03", "--store", store.root).splitlines()
    assert [line for line in told if line.startswith("  faces")] == [told[-1]]
    assert "20x3" in told[-1]


def test_a_clip_without_results_says_so(store: FeatureStore) -> None:
    assert "no feature is published yet" in run("inspect", "b", "--store", store.root)


def test_a_part_of_an_id_is_enough_to_be_told_the_clip(store: FeatureStore) -> None:
    done = CliRunner().invoke(app, ["inspect", "talk", "--store", store.root])
    assert "did you mean 'sessions/talk_03'?" in str(done.exception)


def test_many_features_not_extracted_are_counted(store: FeatureStore) -> None:
    told = run("status", "--store", store.root)
    assert "more not extracted yet" in told
    assert "opensmile_is10" not in told


def test_paragraphs_of_help_fill_the_lines() -> None:
    paragraphs = run("features", "show", "faces").split("\n\n")
    first = paragraphs[1].splitlines()
    assert all(len(line) > NARROW / 2 for line in first[:-1])
