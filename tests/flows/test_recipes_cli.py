"""Recipes by the command line: from clips to results and predictions."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from typer.testing import CliRunner

import flows.cli.commands  # noqa: F401  registers the commands
from corpora.demo import make_demo
from features.spec import Rows
from flows.cli.app import app
from flows.recipe import extract_missing, make_config
from flows.summary import Progress as ExtractProgress
from storage import FeatureStore
from tests.trainers.trainer_kit import AROUSAL, made_store, published

SMALL = ("train.epochs=2", "train.lr=0.003", "train.batch=8", "model.scale=0.1")
AUDIO = ("model.branches=audio",)


def run(*words: object, fails: bool = False) -> str:
    """Standard output of a command, or the error's line."""
    done = CliRunner().invoke(app, [str(w) for w in words])
    if fails:
        assert done.exception is not None
        return str(done.exception)
    assert done.exception is None, (done.output, done.exception)
    return done.stdout


def settings(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--set", text)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recipes")
    make_demo(root / "media", clips=6, seconds=1.0)
    run("ingest", root / "media", "--adapter", "demo", "-s", root / "store", "-c", "demo")
    return root


def test_one_command_extracts_trains_and_scores(demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["run-recipe", "rasipuram2020", "-s", demo / "store", "-c", "demo", "--to", folder]
    said = json.loads(run(*words, *settings(*SMALL, *AUDIO), "--json"))
    assert said["features"] == ["mfcc_mel"]
    assert set(said["metrics"]) == {"ccc_valence", "ccc_arousal", "ccc_mean"}

    results = json.loads((folder / "results.json").read_text())
    store = FeatureStore.open(demo / "store")
    read = results["features"]["mfcc_mel"]
    assert results["store"]["versions"]["catalogue"] == store.versions["catalogue"]
    assert read["clips"] == 6
    assert results["changed_settings"]["train.lr"] == 0.003
    assert results["environment"]["torch"]
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file() and "model name" in cpus.read_text():
        assert f"model name\t: {results['environment']['device_name']}" in cpus.read_text()
    with (folder / "read.csv").open() as file:
        rows = list(csv.DictReader(file))
    listed = {row["fingerprint"] for row in rows if row["feature"] == "mfcc_mel"}
    assert listed == {r.fingerprint for r in store.select(["mfcc_mel"], "demo")}
    page = (folder / "results.html").read_text()
    assert "ccc_arousal" in page
    assert "<polyline" in page

    scored = json.loads(run("evaluate", folder, "--split", "val", "--json"))
    assert scored["metrics"]["ccc_arousal"] == pytest.approx(said["metrics"]["ccc_arousal"])

    run("predict", folder, "--to", tmp_path / "out" / "p.csv", "--split", "val")
    with (tmp_path / "out" / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = {r.clip: r.rows for r in store.select(["mfcc_mel"], "demo", split="val")}
    assert {c: sum(r["clip"] == c for r in rows) for c in frames} == frames
    assert all(-1 <= float(r["arousal"]) <= 1 for r in rows)

    run("predict", folder, "--to", tmp_path / "abaw", "--split", "val")
    texts = {p.stem: p.read_text().splitlines() for p in (tmp_path / "abaw").iterdir()}
    assert {clip: len(lines) - 1 for clip, lines in texts.items()} == frames
    clip, lines = next(iter(texts.items()))
    assert lines[0] == "valence,arousal"
    second = [(r["valence"], r["arousal"]) for r in rows if r["clip"] == clip][1]
    assert lines[2] == ",".join(second)


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_settings_of_extractors_make_a_configuration_of_their_own(
    demo: Path, tmp_path: Path
) -> None:
    words = ["run-recipe", "rasipuram2020", "-s", demo / "store", "-c", "demo"]
    words += ["--to", tmp_path / "run"]
    chosen = settings(*SMALL, *AUDIO, "mfcc_mel.placement=uniform")
    run(*words, *chosen, "--json")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    variant = results["store"]["variant"]
    store = FeatureStore.open(demo / "store")
    wanted = store.select(["mfcc_mel"], "demo", variant=variant)
    assert variant.startswith("rasipuram2020-")
    assert torch.get_num_threads() == 2, "extracting needs one, training takes what was set"
    assert results["features"]["mfcc_mel"]["extractor_keys"] == [wanted[0].extractor_key]
    assert store.configuration() is None or store.configuration().settings == {}  # type: ignore[union-attr]


@pytest.mark.long
def test_features_that_are_made_otherwise_than_what_was_learned_are_told(
    demo: Path, tmp_path: Path
) -> None:
    words = ["-s", demo / "store", "-c", "demo"]
    chosen = settings(*SMALL, *AUDIO, "train.epochs=1")
    run("run-recipe", "rasipuram2020", *words, "--to", tmp_path / "run", *chosen)
    score = ["evaluate", tmp_path / "run", "-s", tmp_path / "store", "--json"]
    shutil.copytree(demo / "store", tmp_path / "store")
    assert json.loads(run(*score))["notes"] == []
    run("config", "set", "-s", tmp_path / "store", "mfcc_mel.placement=uniform")
    run("extract", "-s", tmp_path / "store", "-f", "mfcc_mel", "--no-prefect")
    (note,) = json.loads(run(*score))["notes"]
    assert note.startswith("mfcc_mel: made otherwise now than what the run learned from")


def test_what_reads_segments_alone_still_learns_and_answers_per_frame(
    demo: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run("ingest", demo / "media", "--adapter", "demo", "-s", store, "-c", "demo")
    words = ["run-recipe", "rasipuram2020", "-s", store, "-c", "demo", "--to", tmp_path / "run"]
    chosen = settings(*SMALL, *AUDIO, "model.audio=logmel_64", "train.epochs=1")
    assert json.loads(run(*words, *chosen, "--json"))["features"] == ["logmel_64"]
    run("predict", tmp_path / "run", "--split", "val", "--to", tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        answers = [row["clip"] for row in csv.DictReader(file)]
    opened = FeatureStore.open(store)
    assert answers
    for clip in set(answers):
        assert answers.count(clip) == opened.read(clip, "label.arousal").rows


def test_sound_by_its_own_clock_beside_frames_has_the_frames_times_extracted(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    make_demo(tmp_path / "media", clips=1, seconds=0.5)
    run("ingest", tmp_path / "media", "--adapter", "demo", "-s", store, "-c", "demo")
    chosen = ("audio=logmel_64", "face=frame_48", "pose=frame_48")
    config = make_config("rasipuram2020", str(store), "demo", [f"model.{x}" for x in chosen])
    extract_missing(config, ExtractProgress())
    features = FeatureStore.open(store).features("demo")
    assert {f for f in features if "." not in f} == {"frame_48", "logmel_64", "timeline"}


def test_fusion_says_which_features_and_runs_on_published_ones(tmp_path: Path) -> None:
    root = made_store(tmp_path / "store", clips=6, rows=20).root
    words = ["train", "rasipuram2020", "-s", root, "-c", "c", "--to", tmp_path / "run"]
    said = json.loads(run(*words, *settings(*SMALL, "model.pose=facemesh_714"), "--json"))
    assert said["features"] == ["mfcc_mel", "expnet", "facemesh_714"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("recipes", "show", "rasipuram"), "did you mean 'rasipuram2020'"),
        (("train", "rasipuram2020", "-s", "S", "-c", "x", *settings(*AUDIO)), "no corpus 'x'"),
        (
            ("train", "rasipuram2020", "-s", "S", "-c", "demo", *settings(*AUDIO, "train.split=z")),
            "train (4 clips), val (2 clips)",
        ),
        (("evaluate", "nothing-here"), "is no run"),
    ],
)
def test_errors_say_what_to_do(
    demo: Path, tmp_path: Path, words: tuple[str, ...], said: str, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    store = str(demo / "store")
    run("extract", "-s", store, "-f", "mfcc_mel", "--no-prefect")
    assert said in run(*(store if w == "S" else w for w in words), fails=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rasipuram2020", "-c", "bare", *settings(*AUDIO)), "none of the labels"),
        (("kuhnke2020", "-c", "bare"), "it has: none"),
        (("birhala2020", "-c", "bare"), "learns (emotion)"),
        (
            ("rasipuram2020", "-c", "demo", *settings(*AUDIO, "train.val_split=dev")),
            "split 'dev'. Splits are train (4 clips), val (2 clips)",
        ),
    ],
)
def test_labels_and_splits_are_missed_before_anything_is_extracted(
    demo: Path, tmp_path: Path, words: tuple[str, ...], said: str, monkeypatch: Any
) -> None:
    from flows import recipe

    monkeypatch.setattr(recipe, "extract_prepared", lambda *_: pytest.fail("it was extracted"))
    run("ingest", demo / "media", "--adapter", "folder", "-s", demo / "store", "-c", "bare")
    to = tmp_path / "run"
    assert said in run("run-recipe", *words, "-s", demo / "store", "--to", to, fails=True)
    assert not to.exists()


@pytest.fixture
def holed(tmp_path: Path) -> tuple[Path, str]:
    """A trained run, and its store with two further clips of ``val`` that have no features."""
    store = made_store(tmp_path / "store", clips=6, rows=20)
    words = ["train", "rasipuram2020", "-s", store.root, "-c", "c", "--to", tmp_path / "run"]
    run(*words, *settings(*SMALL, *AUDIO, "train.epochs=1"))
    rows = store.clips("c").to_pylist()
    rows += [{**rows[-1], "clip": name} for name in ("bare_0", "bare_1")]
    store.upsert_clips("c", pa.Table.from_pylist(rows, schema=store.clips("c").schema))
    return tmp_path / "run", str(tmp_path / "p.csv")


def test_a_store_that_was_moved_is_read_at_the_tag_where_that_is_asked(tmp_path: Path) -> None:
    store = made_store(tmp_path / "store", clips=6, rows=20)
    store.tag("v1")
    folder, moved = tmp_path / "run", str(tmp_path / "moved")
    words = ["train", "rasipuram2020", "-s", store.root, "-c", "c", "--at", "v1", "--to", folder]
    run(*words, *settings(*SMALL, *AUDIO, "train.epochs=1"))
    labels = [Rows(np.linspace(-1, 1, 19).astype(np.float32), np.ones(19, bool))]
    (result,) = published(store, AROUSAL, ["clip_04"], labels)
    store.commit([replace(result, fingerprint="corrected")])

    def scored(*words: str) -> tuple[float, list[str]]:
        facts = json.loads(run("evaluate", folder, *words, "--json"))
        return facts["metrics"]["ccc_arousal"], facts["notes"]

    here = scored()
    shutil.move(store.root, moved)
    assert scored("-s", moved, "--at", "v1") == here
    now, notes = scored("-s", moved)
    assert now != here[0]
    told = [note for note in notes if note not in here[1]]
    assert told == [f"{moved} is read as it is now; the run learned from v1 (--at)"]
    words = ["predict", folder, "-s", moved, "--to", tmp_path / "p.csv", "--json"]
    assert told[0] in json.loads(run(*words))["notes"]
    assert told[0] not in json.loads(run(*words, "--at", "v1"))["notes"]


def test_clips_that_are_not_scored_or_predicted_are_told(holed: tuple[Path, str]) -> None:
    folder, to = holed
    said = "2 clips of c val left out: no mfcc_mel"
    for words in (("evaluate", folder), ("predict", folder, "--split", "val", "--to", to)):
        done = CliRunner().invoke(app, [str(w) for w in words])
        assert said in done.stderr
        assert said not in done.stdout
        assert json.loads(run(*words, "--json"))["notes"] == [said]
    assert (
        "2 clips of c left out"
        in json.loads(run("predict", folder, "--to", to, "--json"))["notes"][0]
    )


def test_a_split_that_is_none_is_told_with_those_there_are(holed: tuple[Path, str]) -> None:
    folder, to = holed
    for words in (("evaluate", folder), ("predict", folder, "--to", to)):
        said = run(*words, "--split", "tset", fails=True)
        assert "split 'tset'. Splits are train (4 clips), val (4 clips)" in said
    assert not Path(to).exists()


def test_a_run_that_was_trained_on_a_gpu_is_scored_without_one(
    holed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    folder, to = holed
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["train"]["device"] = "cuda"
    (folder / "config.json").write_text(json.dumps(config))
    for words in (("evaluate", folder), ("predict", folder, "--to", to)):
        assert "--device cpu" in run(*words, fails=True)
        for device in ("cpu", "auto"):
            run(*words, "--device", device, "--json")
        assert "train.device=tpu" in run(*words, "--device", "tpu", fails=True)


def test_recipes_are_listed_with_their_settings() -> None:
    assert {r["name"] for r in json.loads(run("recipes", "list", "--json"))} >= {"rasipuram2020"}
    shown = json.loads(run("recipes", "show", "rasipuram2020", "--json"))
    assert ["train.lr", "0.0001", "of RMSprop (paper)"] in shown["settings"]
