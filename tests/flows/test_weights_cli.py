"""affectstore weights, and what weights do to keys and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import flows.cli.commands  # noqa: F401  registers the commands
from features import weights
from features.errors import WeightsDamaged
from features.nets.filling import random_state
from features.weights import Structure, Weights
from flows.availability import unavailable
from flows.cli.app import app
from flows.pipeline import configure, instantiate
from tests.features.made_clips import make_clip
from tests.features.small_nets import small_sphere


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, and a registry in which sphere20a is a small network."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    entries = dict(weights.registry())
    small = Structure("tests.features.small_nets:small_sphere")
    entries["sphere20a"] = Weights(**{**vars(entries["sphere20a"]), "structure": small})
    monkeypatch.setattr("features.weights.lookup.registry", lambda: entries)
    monkeypatch.setattr("features.weights.registry", lambda: entries)
    return tmp_path


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["weights", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def node(feature: str, settings: Any = None) -> Any:
    return next(n for n in configure(settings or {}).nodes if n.feature == feature)


def small_file(path: Path, shift: float = 0.0) -> Path:
    state = random_state(small_sphere())
    state["fc5.bias"] += shift
    torch.save(state, path)
    return path


def test_list_and_show_say_what_a_person_needs(folder: Path) -> None:
    facts = {f["name"]: f for f in json.loads(run("list", "--json"))}
    assert facts["mtcnn"]["present"]
    assert not facts["sphere20a"]["present"]
    for f in facts.values():
        assert f["purpose"]
        assert f["source"]
        assert f["licence"]
        assert isinstance(f["commercial"], bool)
    assert facts["vgg16-imagenet"]["known_sha256"] == ["397923af"]
    assert "missing" in run("list")
    shown = run("show", "sphere20a")
    assert "CASIA-WebFace" in shown
    assert "affectstore weights add sphere20a FILE" in shown


def test_added_weights_are_shown_found_and_in_the_key(folder: Path) -> None:
    assert run("path").strip() == str(folder / "weights")
    before = node("sphereface")
    assert before.weights == {"sphere20a": "absent"}
    assert "weights add sphere20a" in unavailable(configure({}))["sphereface"]
    run("add", "sphere20a", str(small_file(folder / "a.pth")))
    path = Path(run("path", "sphere20a").strip())
    assert path.is_file()
    assert "a.pth" in run("show", "sphere20a")
    first = node("sphereface")
    assert "sphereface" not in unavailable(configure({}))
    run("add", "sphere20a", str(small_file(folder / "b.pth", shift=0.5)))
    second = node("sphereface")
    assert len({n.extractor_key for n in (before, first, second)}) == 3


def test_a_worker_with_other_weights_than_the_plans_refuses(folder: Path) -> None:
    run("add", "sphere20a", str(small_file(folder / "a.pth")))
    planned = node("sphereface")
    run("add", "sphere20a", str(small_file(folder / "b.pth", shift=0.5)))
    with pytest.raises(WeightsDamaged, match="aren't those of the plan"):
        instantiate(planned, "cpu")


@pytest.mark.parametrize("feature", ["expnet", "expnet_coeffs", "sphereface", "vggface"])
def test_random_weights_need_no_file_and_show_in_the_key(folder: Path, feature: str) -> None:
    extractor = node(feature).extractor
    made = node(feature, {extractor: {"weights": "random"}})
    assert made.params == {"weights": "random"}
    assert made.weights == {}
    assert made.extractor_key != node(feature).extractor_key


def test_precision_is_in_the_key(folder: Path) -> None:
    assert node("expnet", {"expnet": {"precision": "fp32"}}).params == {}
    assert node("expnet", {"expnet": {"precision": "bf16"}}).params == {"precision": "bf16"}


def test_one_damaged_receipt_is_named_and_stops_nothing_else(folder: Path) -> None:
    (folder / "weights" / "sphere20a").mkdir(parents=True)
    (folder / "weights" / "sphere20a" / "weights.json").write_text('{"bad":')
    listed = {f["name"]: f for f in json.loads(run("list", "--json"))}
    assert "sphere20a FILE" in listed["sphere20a"]["damaged"]
    assert listed["mtcnn"]["damaged"] is None
    assert "damaged" in run("list")
    assert "add the weights again" in " ".join(run("show", "sphere20a").split())
    lacking = unavailable(configure({}))
    assert "weights.json is damaged" in lacking["sphereface"]
    assert "mfcc_mel" not in lacking


def test_a_plan_names_the_weights_that_are_not_free_for_commerce(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "a.mp4", sound=False)
    store = ("--store", str(tmp_path / "store"))

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, *store], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    said("ingest", str(tmp_path / "clips"), "--corpus", "made")
    asked = ("plan", "--features", "landmarks_68,head_pose")
    assert "by weights" not in said(*asked)
    told = said(*asked, "--set", "landmarks_68.backend=dlib")
    assert "landmarks_68 by weights dlib68: trained on 300-W: not for commercial use" in told
