"""kuhnke2020 from Aff-Wild2's folders to the challenge's text files, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage import FeatureStore
from tests.flows.test_recipes_cli import run, settings
from tests.trainers.affwild2_kit import EXPRESSIONS, UNITS, make_affwild2

SMALL = (
    "model.scale=0.03125",
    "model.side=28",
    "train.epochs=1",
    "train.epoch_frames=16",
    "train.batch=8",
    "train.accumulate=2",
    "train.val_stride=1",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("affwild2")
    make_affwild2(root / "data")
    words = ["--adapter", "affwild2", "-s", root / "store", "-c", "w"]
    run("ingest", root / "data", *words)
    return root


def test_one_command_extracts_trains_scores_and_predicts_in_the_challenges_format(
    data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = ["run-recipe", "kuhnke2020", "-s", data / "store", "-c", "w", "--to", folder]
    said = json.loads(run(*words, *settings(*SMALL), "--json"))
    assert said["features"] == ["timeline", "face_112", "face_mask", "logmel_64"]
    assert {"va", "ex", "au", "score"} <= set(said["metrics"])
    assert "100.0% of the frames have a face; the others are black" in said["notes"]
    assert "train: 4 clips, 46 frames (va 22, expr 44, au 22)" in said["notes"]

    # faces are aligned by the landmarks that masks are drawn of
    store = FeatureStore.open(data / "store")
    variant = json.loads((folder / "results.json").read_text())["store"]["variant"]
    configuration = store.wanted(variant)
    assert configuration is not None
    bound = {node.feature: dict(node.inputs) for node in configuration.nodes}
    assert bound["face_112"]["points"] == bound["face_mask"]["points"] == "landmarks_68"

    scored = json.loads(run("evaluate", folder, "--split", "val", "--json"))
    assert scored["metrics"] == pytest.approx(said["metrics"])

    run("predict", folder, "--to", tmp_path / "abaw")
    files = sorted(p.relative_to(tmp_path / "abaw").as_posix() for p in tmp_path.glob("abaw/*/*"))
    names = ("demo_1", "demo_2", "demo_3", "pair_left", "pair_right")
    tasks = ("AU_Set", "EXPR_Set", "VA_Set")
    assert files == [f"{task}/{name}.txt" for task in tasks for name in names]
    rows = {r.clip: r.rows for r in store.select(["face_112"], "w", variant=variant)}
    for task, header in (("VA", "valence,arousal"), ("EXPR", EXPRESSIONS), ("AU", UNITS)):
        lines = (tmp_path / "abaw" / f"{task}_Set" / "demo_2.txt").read_text().splitlines()
        assert lines[0] == header
        assert len(lines) == 1 + rows["demo_2"]
        columns = [line.split(",") for line in lines[1:]]
        if task == "VA":
            assert all(-1 <= float(cell) <= 1 for row in columns for cell in row)
        else:
            allowed = range(7) if task == "EXPR" else range(2)
            assert all(int(cell) in allowed for row in columns for cell in row)

    # of a split, a clip's tasks are those in which it is of it
    run("predict", folder, "--to", tmp_path / "train", "--split", "train")
    left = sorted(p.parent.name for p in tmp_path.glob("train/*/pair_left.txt"))
    assert left == ["EXPR_Set"]


def test_the_corpus_own_faces_are_an_ablation_and_missing_ones_are_told(
    data: Path, tmp_path: Path
) -> None:
    words = ["run-recipe", "kuhnke2020", "-s", data / "store", "-c", "w", "--to", tmp_path / "r"]
    texts = (*SMALL, "model.alignment=provided", "model.mask=false")
    said = run(*words, *settings(*texts), "--json", fails=True)
    assert "no frame of 5 clips has a face (faces_provided)" in said
    assert "cropped_aligned" in said
