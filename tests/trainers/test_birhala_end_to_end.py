"""birhala2020 from nothing: CREMA-D's own layout, one ingest, one run, predictions."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import flows.cli.commands  # noqa: F401  registers the commands
from corpora.demo import TABLE, make_demo
from flows.cli.app import app
from storage import FeatureStore
from tests.corpora.test_cremad import HEAD, row
from tests.corpora.trees import tree
from trainers.errors import RunMismatch

#: the demo's emotions as CREMA-D's codes
CODES = {"happy": "HAP", "sad": "SAD", "angry": "ANG", "calm": "NEU"}
SENTENCES = ("DFA", "IEO")
SMALL = ("train.folds=3", "train.epochs=2", "train.batch=4", "model.n_segments=2")
SMALL += ("model.scale=0.1",)


def command(*words: object, fails: bool = False) -> Any:
    """What a command says as JSON, or the error."""
    done = CliRunner().invoke(app, [str(w) for w in (*words, *(() if fails else ("--json",)))])
    if fails:
        assert done.exception is not None
        return done.exception
    assert done.exception is None, (done.output, done.exception)
    return json.loads(done.stdout)


def chosen(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--set", text)]


def crema_d(root: Path, clips: int, seconds: float) -> Path:
    """Made clips in CREMA-D's layout: an actor per synthetic subject, votes as intended."""
    made = make_demo(root / "made", clips=clips, seconds=seconds)
    (root / "CREMA-D" / "VideoFlash").mkdir(parents=True)
    votes = ""
    with (made / TABLE).open() as file:
        for i, given in enumerate(csv.DictReader(file)):
            code = CODES[given["emotion"]]
            actor = 1000 + int(given["subject"].removeprefix("synthetic_"))
            name = f"{actor}_{SENTENCES[i % 2]}_{code}_XX"
            (made / given["path"]).rename(root / "CREMA-D" / "VideoFlash" / f"{name}.mp4")
            # the first clip's votes are tied: it has no voted label
            votes += row(i + 1, name, "A:N" if i == 0 else code[0])
    tree(root / "CREMA-D", {"processedResults/summaryTable.csv": HEAD + votes})
    return root / "CREMA-D"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("birhala")
    source = crema_d(root, clips=6, seconds=0.6)
    command("ingest", source, "--adapter", "cremad", "-s", root / "store", "-c", "cremad")
    words = ["run-recipe", "birhala2020", "-s", root / "store", "-c", "cremad"]
    command(*words, *chosen(*SMALL), "--to", root / "run")
    return root


def test_one_command_extracts_and_trains_each_fold(run: Path) -> None:
    results = json.loads((run / "run" / "results.json").read_text())
    assert set(results["features"]) == {"face_224", "spectrogram_192x120", "timeline"}
    assert set(results["metrics"]) == {"accuracy", "uar", "macro_f1"}
    assert results["scored"] == "mean of 3 folds of subjects"
    folds = [json.loads(p.read_text()) for p in sorted((run / "run").glob("fold-*/fold.json"))]
    assert sorted(name for fold in folds for name in fold["subjects"]) == ["1001", "1002", "1003"]
    shares = [fold["metrics"]["accuracy"] for fold in folds]
    assert results["metrics"]["accuracy"] == pytest.approx(sum(shares) / 3)
    assert not list((run / "run").glob("fold-*/checkpoints"))


def test_each_clip_is_scored_by_the_fold_that_never_met_its_actor(run: Path) -> None:
    results = json.loads((run / "run" / "results.json").read_text())
    scored = command("evaluate", run / "run")
    # folds have two clips each: the mean over folds is the share of all clips
    assert scored["metrics"]["accuracy"] == pytest.approx(results["metrics"]["accuracy"])


def test_clips_without_features_are_told(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "store", tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    rows = store.clips("cremad").to_pylist()
    rows.append({**rows[0], "clip": "bare", "uri": "/media/bare.mp4", "media_key": "bare"})
    rows[1]["label.emotion"] = None
    store.upsert_clips("cremad", pa.Table.from_pylist(rows, schema=store.clips("cremad").schema))
    said = "1 clip of cremad left out: no face_224"
    words = (run / "run", "-s", store.root)
    assert command("evaluate", *words)["notes"] == [said, "1 clip to score without a label"]
    assert command("predict", *words, "--to", tmp_path / "p.csv")["notes"] == [said]


def test_predictions_name_a_class_and_its_probability_for_every_clip(run: Path) -> None:
    command("predict", run / "run", "--to", run / "p.csv")
    with (run / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["angry", "happy", "neutral", "sad"]
    assert list(rows[0]) == ["clip", "class", *names]
    assert len(rows) == 6
    for found in rows:
        shares = [float(found[name]) for name in names]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert found["class"] == names[shares.index(max(shares))]


def test_a_lost_fold_is_trained_again_to_the_same_and_others_are_not(run: Path) -> None:
    second, third = (run / "run" / f"fold-0{i}" for i in (2, 3))
    before = (second / "model.safetensors").read_bytes()
    kept = (third / "model.safetensors").stat().st_mtime_ns
    for file in ("fold.json", "model.safetensors"):
        (second / file).unlink()
    words = ["train", "birhala2020", "-s", run / "store", "-c", "cremad", "--to", run / "run"]
    command(*words, *chosen(*SMALL))
    assert (second / "model.safetensors").read_bytes() == before
    assert (third / "model.safetensors").stat().st_mtime_ns == kept


def test_voted_labels_leave_tied_clips_out(run: Path) -> None:
    words = ["train", "birhala2020", "-s", run / "store", "-c", "cremad", "--to", run / "voted"]
    more = ("train.folds=2", "train.epochs=1", "model.labels=voted", "train.lr_decay=steps")
    command(*words, *chosen(*SMALL, *more))
    folds = [json.loads(p.read_text()) for p in sorted((run / "voted").glob("fold-*/fold.json"))]
    assert sum(fold["clips"] for fold in folds) == 5


def test_more_folds_than_actors_are_refused(run: Path) -> None:
    words = ["train", "birhala2020", "-s", run / "store", "-c", "cremad", "--to", run / "many"]
    said = command(*words, fails=True)
    assert "3 subjects can't make 10 folds; set train.folds=3" in str(said)
    assert isinstance(command("predict", run / "many", "--to", "x.csv", fails=True), RunMismatch)
