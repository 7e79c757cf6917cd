"""Recipes of other packages."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.recipe import make_config, train
from tests.trainers.trainer_kit import made_store
from trainers.errors import UnknownRecipe
from trainers.listing import BUILT_IN, names
from trainers.loop import Progress
from trainers.recipe import recipe
from trainers.run import open_run


def _install(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package with an entry point where Python looks."""
    module = f"recipe_of_{folder.name}"
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[affectstore.recipes]\nmine2027 = {module}:RECIPE\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


def test_a_package_adds_a_recipe_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from trainers.recipes.guo2018_svm import RECIPE as SVM

class Mine(type(SVM)):
    name = "mine2027"

RECIPE = Mine()
"""
    _install(tmp_path, code, monkeypatch)
    assert names() == [*BUILT_IN, "mine2027"]
    assert recipe("mine2027").name == "mine2027"
    with pytest.raises(UnknownRecipe, match="did you mean 'mine2027'"):
        recipe("mine207")


def test_a_recipe_that_is_not_whole_is_refused_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "class RECIPE:\n    name = 'mine2027'\n    kind = dict\n", monkeypatch)
    with pytest.raises(UnknownRecipe, match="lacks title, source, published, features"):
        recipe("mine2027")


def test_a_package_that_cannot_be_imported_stops_its_own_recipe_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "import nosuchlib", monkeypatch)
    assert recipe("guo2018_svm").name == "guo2018_svm"
    said = r"mine2027 \(recipe_of_.*:RECIPE, package .*\) can't be imported: .*nosuchlib"
    with pytest.raises(UnknownRecipe, match=said):
        recipe("mine2027")
    listed = CliRunner().invoke(app, ["recipes", "list"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in BUILT_IN)
    assert re.search("mine2027 .* can't be imported", listed.output)


def test_the_example_of_the_docs_trains_scores_and_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    begins, ends = "arousal per frame from the sound around it:\n", "\nWhat training"
    code = page.split(begins)[1].split(ends)[0]
    _install(tmp_path, textwrap.dedent(code), monkeypatch)
    store = made_store(tmp_path / "store").root
    settings = ["train.epochs=12", "train.lr=1e-2", "train.batch=8", "train.device=cpu"]
    config = make_config("mine2027", store, "c", [*settings, "model.hidden=16"])
    done = train(config, tmp_path / "run", Progress())
    assert done.outcome.metrics["ccc_arousal"] > 0.5
    recipe_, context, _ = open_run(tmp_path / "run", Progress())
    scored = recipe_.evaluate(context, "val")
    assert scored["ccc_arousal"] == pytest.approx(done.outcome.metrics["ccc_arousal"], abs=1e-6)
    found = recipe_.predict(context, "val")
    held = context.store.select(["mfcc_mel"], "c", split="val")
    assert len(found.rows) == sum(result.rows for result in held)
