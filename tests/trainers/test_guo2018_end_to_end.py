"""guo2018 from nothing: AFEW's and FER-2013's own layouts, one run, the challenge's predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import flows.cli.commands  # noqa: F401  registers the commands
from flows.cli.app import app
from tests.corpora.fer2013_made import made_table, noise
from tests.trainers.afew_tree import afew_tree
from tests.trainers.test_guo2018 import SMALL

SPLITS = ("Train",) * 8 + ("Val",) * 3 + ("Test",)
PARTS = ["faces", "provided", "svm", "shortterm", "maps"]


def command(*words: object) -> Any:
    """What a command says as JSON."""
    done = CliRunner().invoke(app, [str(w) for w in (*words, "--json")])
    assert done.exception is None, (done.output, done.exception)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    root = tmp_path_factory.mktemp("guo")
    store = root / "store"
    usages = ["Training"] * 14 + ["PublicTest"] * 7
    table = made_table(root / "fer" / "fer2013.csv", noise(21), [i % 7 for i in range(21)], usages)
    command("ingest", table, "--adapter", "fer2013", "-s", store, "-c", "fer")
    command("extract", "-s", store, "-c", "fer", "-f", "frame_48", "--no-prefect")
    afew = afew_tree(root, SPLITS, 0.5)
    command("ingest", afew, "--adapter", "afew", "-s", store, "-c", "afew")
    more = ("train.epochs=1", "train.maps_iterations=2", "train.fer_epochs=1")
    chosen = [w for t in (*SMALL, *more, "train.fer_corpus=fer") for w in ("--set", t)]
    words = ["run-recipe", "guo2018", "-s", store, "-c", "afew", "--to", root / "run"]
    return root, command(*words, *chosen)


def test_one_command_extracts_trains_and_fuses_all_parts(run: tuple[Path, Any]) -> None:
    root, said = run
    assert set(said["metrics"]) >= {"accuracy", "uar", *(f"accuracy_{p}" for p in PARTS)}
    results = json.loads((root / "run" / "results.json").read_text())
    assert set(results["features"]) == {
        "face_eyes_224",
        "timeline",
        "faces_provided",
        "opensmile_is10",
        "shortterm_34",
    }
    assert sum(results["details"]["fusion weights"].values()) == pytest.approx(1)
    assert results["pretrained"] == {"vggface16": "absent", "bninception-imagenet": "absent"}
    assert any("vggface16 aren't there" in note for note in results["notes"])
    assert "chosen on the validation split" in (root / "run" / "results.html").read_text()
    for part in PARTS:
        assert (root / "run" / part / "model.safetensors").is_file()
        assert (root / "run" / "refit" / part / "model.safetensors").is_file()


def test_predictions_are_a_class_per_clip_in_a_table_and_in_the_challenges_files(
    run: tuple[Path, Any],
) -> None:
    root, _ = run
    names = ["angry", "happy", "neutral", "sad"]
    command("predict", root / "run", "--split", "test", "--to", root / "p.csv")
    with (root / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == ["Test/000000011"]
    assert list(rows[0]) == ["clip", "class", *names]
    command("predict", root / "run", "--to", root / "files")
    files = {p.relative_to(root / "files").as_posix(): p.read_text() for p in
             (root / "files").rglob("*.txt")}  # fmt: skip
    assert len(files) == len(SPLITS)
    assert files["Test/000000011.txt"] == rows[0]["class"] + "\n"


def test_a_split_is_scored_again_to_the_same(run: tuple[Path, Any]) -> None:
    root, said = run
    again = command("evaluate", root / "run", "--split", "val")
    assert again["metrics"] == pytest.approx(said["metrics"])
