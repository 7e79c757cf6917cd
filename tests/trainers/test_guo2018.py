"""guo2018: stages, fusion, what goes on after a stop, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from corpora.fer2013 import EMOTIONS as FER_EMOTIONS
from storage import FeatureStore
from tests.trainers.guo_kit import EMOTIONS, add_fer, guo_store
from trainers.errors import NothingToTrain, RunMismatch, WrongSetting
from trainers.guo2018 import fer
from trainers.guo2018.optimizers import sgd
from trainers.guo2018.settings import GuoSettings, Train
from trainers.loop import Progress
from trainers.models.vgg_lstm import FaceClassifier
from trainers.recipe import Context, Outcome, recipe
from trainers.recipes.guo2018 import Guo2018
from trainers.run import RunConfig, open_run, start
from trainers.settings import parse

SMALL = (
    "model.scale=0.04", "model.size=32", "model.map_size=32", "model.lstm_init=0.3",
    "model.length=4", "model.stride=2", "model.maps=2", "model.maps_stride=1", "train.epochs=2",
    "train.patience=0", "train.lr=0.02", "train.maps_lr=0.02", "train.batch=6",
    "train.maps_iterations=4", "train.folds=2", "train.fusion_step=0.25", "train.clip_norm=1",
)  # fmt: skip


class Stop(Progress):
    """Ends the training after so many epochs, as a kill would between two of them."""

    def __init__(self, after: int) -> None:
        self.left = after

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        self.left -= 1

    def epoch(self, epoch: int, epochs: int, batches: int) -> None:
        if self.left <= 0:
            raise KeyboardInterrupt


def config(root: str, *texts: str) -> RunConfig:
    made = Guo2018()
    settings = parse(made.kind, [*SMALL, *texts])
    known = ("face_eyes_224", "faces_provided", "timeline", "shortterm_34", "opensmile_is10")
    return RunConfig(made.name, root, "c", settings.model_dump(), made.features(settings, known))


def run(root: str, folder: Path, *texts: str, progress: Progress | None = None) -> Outcome:
    made, context = start(config(root, *texts), folder, progress or Progress())
    return made.train(context)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    store = guo_store(tmp_path_factory.mktemp("guo") / "store", splits=("train", "val", "test"))
    add_fer(store)
    return store.root


@pytest.fixture(scope="module")
def whole(root: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("guo") / "run"
    return folder, run(root, folder, "train.fer_corpus=fer", "train.fer_epochs=2")


def test_the_whole_system_trains_fuses_refits_and_predicts(whole: tuple[Path, Outcome]) -> None:
    folder, outcome = whole
    weights = outcome.details["fusion weights"]
    assert list(weights) == ["faces", "provided", "svm", "shortterm", "maps"]
    assert sum(weights.values()) == pytest.approx(1)
    assert outcome.details["points tried"] == 70
    alone = [v for k, v in outcome.metrics.items() if k.startswith("accuracy_")]
    assert len(alone) == 5
    assert outcome.metrics["accuracy"] >= max(alone)
    assert any("chosen on the validation split" in n for n in outcome.notes)
    assert any("then fer, accuracy" in n and "frame_48" in n for n in outcome.notes)
    assert any("VGG-Face from scratch: weights vggface16" in n for n in outcome.notes)

    made, context, _ = open_run(folder, Progress())
    assert dict(made.evaluate(context, "val")) == pytest.approx(dict(outcome.metrics))
    assert set(made.evaluate(context, "test")) == set(outcome.metrics)
    table = made.predict(context, None)
    assert table.columns == ("clip", "class", *EMOTIONS)
    assert len(table.rows) == 18
    for row in table.rows:
        shares = [float(str(v)) for v in row[2:]]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row[1] == EMOTIONS[int(np.argmax(shares))]


def test_splits_beyond_train_and_val_are_predicted_by_the_refitted_models(
    whole: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder, outcome = whole
    for part, epochs in outcome.details["epochs"].items():
        if part == "svm":
            continue
        for stage, best in epochs.items():
            held = sorted((folder / "refit" / part / stage / "checkpoints").glob("*.json"))
            state = json.loads(held[-1].read_text())
            assert (state["epoch"], state["best_epoch"]) == (best, best), (part, stage)
    made, context, _ = open_run(folder, Progress())
    before = {s: made.predict(context, s).rows for s in ("train", "test")}
    path = folder / "refit" / "shortterm" / "model.safetensors"
    kept = path.read_bytes()
    path.unlink()
    try:
        assert made.predict(context, "train").rows == before["train"]
        with pytest.raises(RunMismatch, match="train first"):
            made.predict(context, "test")
    finally:
        path.write_bytes(kept)


def test_a_clip_without_faces_and_sound_is_decided_by_equal_probabilities(
    whole: tuple[Path, Outcome],
) -> None:
    made, context, _ = open_run(whole[0], Progress())
    row = next(r for r in made.predict(context, "test").rows if r[0] == "clip_17")
    assert [float(str(v)) for v in row[2:]] == pytest.approx([1 / 3] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("part", "stops"), [("faces", (1, 5)), ("shortterm", (2,)), ("maps", (3,))]
)
def test_stopped_stages_go_on_to_the_same_weights(
    root: str, tmp_path: Path, part: str, stops: tuple[int, ...]
) -> None:
    texts = (f"model.parts={part}", "train.fer_corpus=fer", "train.fer_epochs=2")
    calm = run(root, tmp_path / "calm", *texts)
    for stop in stops:
        folder = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            run(root, folder, *texts, progress=Stop(stop))
        again = run(root, folder, *texts)
        assert again.metrics == calm.metrics
        for name in (f"{part}/model.safetensors", f"refit/{part}/model.safetensors"):
            first, second = (load_file(f / name) for f in (tmp_path / "calm", folder))
            assert first.keys() == second.keys()
            assert all(torch.equal(first[k], second[k]) for k in first), (stop, name)


def test_a_clip_that_ingest_lists_no_more_is_not_learned_when_refitting(tmp_path: Path) -> None:
    store = guo_store(tmp_path / "store")
    kept = store.clips("c").filter(pa.compute.not_equal(store.clips("c")["clip"], "clip_01"))
    store.upsert_clips("c", kept.drop_columns(["corpus", "time"]), complete=True)
    # seen by its mean: that of the functionals of all clips that were learned from
    run(store.root, tmp_path / "run", "model.parts=svm", "model.kernel=linear")
    rows = [
        store.read(clip, "opensmile_is10", corpus="c").values[0]
        for clip in kept["clip"].to_pylist()
        if clip != "clip_17"  # has no sound
    ]
    held = load_file(tmp_path / "run" / "refit" / "svm" / "model.safetensors")
    assert held["mean"].numpy() == pytest.approx(np.mean(rows, 0), abs=1e-6)


def test_both_face_models_share_stage_one(root: str, tmp_path: Path) -> None:
    texts = ("model.parts=faces,provided", "train.fer_corpus=fer", "train.refit=false")
    run(root, tmp_path / "run", *texts, "train.fer_epochs=1")
    assert sorted(p.name for p in (tmp_path / "run" / "fer2013" / "checkpoints").iterdir()) == [
        "epoch-0001.json",
        "epoch-0001.safetensors",
    ]
    assert not (tmp_path / "run" / "refit").exists()


def test_fer_numbers_are_the_adapters() -> None:
    assert fer.EMOTIONS == FER_EMOTIONS


def test_fer_that_is_not_there_says_how_to_get_it(root: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToTrain, match=r"adapter fer2013 .*extract -f frame_48"):
        run(root, tmp_path / "run", "model.parts=faces", "train.fer_corpus=none")


def test_parts_without_rows_and_unknown_features_are_named(root: str, tmp_path: Path) -> None:
    made = recipe("guo2018")
    with pytest.raises(WrongSetting, match="svm reads opensmile_is10"):
        made.features(parse(made.kind, ["model.parts=svm"]), ["shortterm_34"])
    settings = parse(made.kind, ["model.parts=shortterm,faces", "model.pretrained=true"])
    assert settings.model.parts == ("faces", "shortterm")  # type: ignore[attr-defined]
    assert made.pretrained(settings) == ("vggface16",)
    assert made.pretrained(parse(made.kind, ["model.pretrained=false"])) == ()
    assert made.pretrained(GuoSettings()) == ("vggface16", "bninception-imagenet")
    for text, said in (
        ("model.parts=sound", "model.parts"),
        ("model.parts=", "model.parts"),
        ("train.fusion_step=0.3", "1 must be a multiple"),
        ("model.map_size=48", "multiple of 32"),
    ):
        with pytest.raises(WrongSetting, match=said):
            parse(made.kind, [text])
    with pytest.raises(NothingToTrain, match=r"shortterm: no clip of val has a valid row"):
        run(_silenced(tmp_path), tmp_path / "run", "model.parts=svm,shortterm")
    # nothing has been learned in vain
    assert not (tmp_path / "run" / "svm").exists()


@pytest.mark.parametrize(
    ("parts", "setting", "said"),
    [
        ("faces", "model.face=shortterm_34", r"shape \(34,\); model.parts=faces takes"),
        ("provided", "model.provided=opensmile_is10", r"\(12,\); model.parts=provided takes"),
        ("maps", "model.shortterm=face_eyes_224", r"\(20, 20, 3\); model.parts=maps takes"),
        ("shortterm", "model.shortterm=faces_provided", r"model.parts=shortterm takes \(any\)"),
    ],
)
def test_features_of_another_shape_are_refused(
    root: str, tmp_path: Path, parts: str, setting: str, said: str
) -> None:
    with pytest.raises(WrongSetting, match=said):
        run(root, tmp_path / "run", f"model.parts={parts}", setting)


def _silenced(folder: Path) -> str:
    """The one clip of its split ``val`` has no sound."""
    store = guo_store(folder / "store", clips=18)
    table = store.clips("c").to_pylist()
    changed = [{**r, "split": "val" if r["clip"] == "clip_17" else "train"} for r in table]
    store.upsert_clips("c", pa.Table.from_pylist(changed, schema=store.clips("c").schema))
    return FeatureStore.open(store.root).root


def test_the_new_layer_of_vgg_face_learns_ten_times_faster() -> None:
    net = FaceClassifier(3, 0.04, 32)
    optimizer, _ = sgd(Train(), faster="net.fc8.")(net)
    slow, quick = optimizer.param_groups
    assert (slow["lr"], quick["lr"]) == (1e-3, 1e-2)
    assert {id(p) for p in quick["params"]} == {id(p) for p in net.net.fc8.parameters()}
    assert len(slow["params"]) + 2 == len(list(net.parameters()))


def test_the_settings_are_the_papers(tmp_path: Path) -> None:
    given: Any = GuoSettings()
    model, train = given.model, given.train
    assert (model.fps, model.every, model.length, model.stride) == (60, 8, 16, 8)
    assert (model.maps, model.maps_stride, model.lstm_init) == (8, 4, 0.01)
    assert (train.momentum, train.lr, train.batch, train.classes_lr) == (0.9, 1e-3, 16, 10)
    assert (train.maps_lr, train.maps_iterations, train.maps_decay) == (1e-3, 10_000, 3_000)
    assert (train.maps_weight_decay, train.fusion_step, train.refit) == (0.002, 0.05, True)


def test_other_clips_labels_are_learned_where_that_is_asked(root: str, tmp_path: Path) -> None:
    texts = ("model.parts=svm,shortterm", "train.shuffle_labels=true", "train.refit=false")
    outcome = run(root, tmp_path / "run", *texts)
    assert sum("CONTROL" in note for note in outcome.notes) == 2


def test_the_control_learns_other_pictures_labels_too(root: str, tmp_path: Path) -> None:
    texts = ("model.parts=faces", "train.fer_corpus=fer", "train.shuffle_labels=true")
    _, context = start(config(root, *texts), tmp_path / "run", Progress())
    settings = parse(GuoSettings, [*SMALL, *texts])
    assert isinstance(settings, GuoSettings)
    windows = context.store.windows(["frame_48"], 1, 1, "fer", "train", labels=["emotion"])
    seen: dict[bool, dict[int, int]] = {}
    for control in (False, True):
        own = settings.train.model_copy(update={"shuffle_labels": control})
        task = fer.FerTask(fer.classifier(settings, 7), windows, windows, own)
        batches = list(task.batches(0))
        seen[control] = {
            int(start): int(label)
            for batch in batches
            for start, label in zip(batch.starts, batch.labels["emotion"][:, 0], strict=True)
        }
    assert sorted(seen[True].values()) == sorted(seen[False].values())
    moved = sum(seen[True][i] != label for i, label in seen[False].items())
    assert moved > len(windows) / 2


def test_clips_of_no_split_and_of_a_corpus_without_labels_are_predicted(
    whole: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder, _ = whole
    bare = guo_store(tmp_path / "store", clips=6, splits=("train", None), labelled=False)
    made, context, _ = open_run(folder, Progress(), store=bare.root)
    table = made.predict(context, None)
    assert [row[0] for row in table.rows] == [f"clip_{i:02d}" for i in range(6)]
    assert any("says nothing of 1 clip of no split" in note for note in table.notes)
    with pytest.raises(NothingToTrain, match="no clip of train has the label"):
        made.evaluate(context, "train")


def test_a_context_without_a_trained_run_says_so(root: str, tmp_path: Path) -> None:
    made, context = start(config(root, "model.parts=svm"), tmp_path / "run", Progress())
    assert isinstance(context, Context)
    with pytest.raises(RunMismatch, match="train first"):
        made.evaluate(context, "val")
