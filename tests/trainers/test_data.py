"""What a run was trained on is known, and it goes on with nothing else."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.spec import FeatureSpec, Rows
from flows.recipe import make_config, train
from storage import Configuration, FeatureStore, Node
from storage.keys import extractor_key, fingerprint, media_key
from tests.trainers.trainer_kit import AROUSAL, SOUND, clips_table, made_store, published
from trainers.data import data_of
from trainers.errors import NothingToTrain, RunMismatch
from trainers.loop import Progress
from trainers.recipe import Context, recipe
from trainers.results import made_by, otherwise_made
from trainers.run import read_config
from trainers.settings import parse

SMALL = (
    *("model.branches=audio", "model.scale=.1", "train.batch=8", "train.lr=1e-2"),
    *("train.epochs=2", "train.device=cpu"),
)


def trained(store: FeatureStore, folder: Path, *settings: str) -> dict[str, object]:
    config = make_config("rasipuram2020", store.root, "c", [*SMALL, *settings])
    train(config, folder, Progress())
    found: dict[str, object] = json.loads((folder / "results.json").read_text())
    return found


def again(store: FeatureStore, spec: object, clip: str, rows: Rows) -> None:
    """Publish other rows of a clip, as an extract or ingest would that found something new."""
    (result,) = published(store, spec, [clip], [rows])  # type: ignore[arg-type]
    store.commit([replace(result, fingerprint=f"new-{result.content[:8]}")])


def other_sound(store: FeatureStore) -> None:
    rng = np.random.default_rng(9)
    again(store, SOUND, "clip_03", Rows(rng.normal(size=(40, 6)).astype("f4"), np.ones(40, bool)))


def later_sound(store: FeatureStore) -> None:
    rows = store.read("clip_03", "mfcc_mel", corpus="c")
    again(store, SOUND, "clip_03", Rows(rows.values, rows.valid, t0=rows.t0 + 1))


def other_label(store: FeatureStore) -> None:
    again(store, AROUSAL, "clip_10", Rows(np.full(39, 0.5, np.float32), np.ones(39, bool)))


def new_clip(store: FeatureStore) -> None:
    store.upsert_clips("c", clips_table(["clip_99"], ["train"], {}))


def other_split(store: FeatureStore) -> None:
    store.upsert_clips("c", pa.table({"clip": ["clip_11"], "split": ["train"]}))


def clip_gone(store: FeatureStore) -> None:
    kept = store.clips("c").filter(pa.compute.not_equal(store.clips("c")["clip"], "clip_05"))
    store.upsert_clips("c", kept.drop_columns(["corpus", "time"]), complete=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_sound, r"mfcc_mel of 1 clip \(c/clip_03\)"),
        (later_sound, r"mfcc_mel of 1 clip \(c/clip_03\)"),
        (other_label, r"label\.arousal of 1 clip \(c/clip_10\)"),
        (new_clip, r"1 clip is new \(c/clip_99\)"),
        (other_split, r"split of 1 clip \(c/clip_11\)"),
        (clip_gone, r"1 clip is gone \(c/clip_05\)"),
    ],
)
def test_a_run_does_not_go_on_with_other_data(
    change: Callable[[FeatureStore], None], said: str, tmp_path: Path
) -> None:
    store = made_store(tmp_path / "s")
    trained(store, tmp_path / "run")
    before = (tmp_path / "run" / "results.json").read_bytes()
    change(store)
    with pytest.raises(RunMismatch, match=f"{said}.*--to"):
        trained(store, tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    trained(store, tmp_path / "other")


def test_a_second_process_leaves_the_settings_of_the_first_alone(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s", clips=6, rows=12)
    other = make_config("rasipuram2020", store.root, "c", [*SMALL, "train.seed=5"])

    class Second(Progress):
        refused = 0

        def epoch(self, epoch: int, epochs: int, batches: int) -> None:
            with pytest.raises(RunMismatch, match="another process trains in"):
                train(other, tmp_path / "run", Progress())
            self.refused += 1

    first, second = make_config("rasipuram2020", store.root, "c", SMALL), Second()
    train(first, tmp_path / "run", second)
    assert second.refused == 2
    assert read_config(tmp_path / "run") == first


def test_an_interrupted_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    class Stopped(Progress):
        def epoch_done(self, entry: object) -> None:
            if entry["epoch"] == 2:  # type: ignore[index]
                raise KeyboardInterrupt

    store = made_store(tmp_path / "s")
    config = make_config("rasipuram2020", store.root, "c", [*SMALL, "train.epochs=3"])
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", Stopped())
    other_sound(store)
    with pytest.raises(RunMismatch, match="mfcc_mel of 1 clip"):
        train(config, tmp_path / "run", Progress())


def test_what_a_run_does_not_read_may_change(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s")
    first = trained(store, tmp_path / "run")
    store.upsert_clips("c", clips_table(["clip_99"], ["test"], {"label.emotion": ["sad"]}))
    store.upsert_clips("d", clips_table(["other"], ["train"], {}))
    second = trained(store, tmp_path / "run")
    assert (first["data"], first["metrics"]) == (second["data"], second["metrics"])


def test_a_stale_result_of_a_clip_that_is_not_read_is_no_obstacle(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s")
    store.upsert_clips("c", clips_table(["clip_99"], ["test"], {}))
    key = extractor_key("mfcc_mel", 9, {}, {}, {})
    node = Node("mfcc_mel", "mfcc_mel", 9, {}, {}, {}, key, True, ())
    store.save_configuration(Configuration("default", "nine", (node,)))
    made = store.published(corpus="c", features=["mfcc_mel"])
    store.commit([replace(made[0], clip="clip_99")])
    keys = [fingerprint(node, media_key(f"sha-{r.clip}"), {}, {}) for r in made]
    store.commit([replace(r, fingerprint=k) for r, k in zip(made, keys, strict=True)])
    trained(store, tmp_path / "run")


def test_results_tell_features_and_labels_that_were_learned(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s")
    facts = trained(store, tmp_path / "run")
    labels = facts["labels"]
    assert isinstance(labels, dict)
    assert labels["arousal"]["clips"] == 12
    assert labels["arousal"]["per"] == "frame"
    with (tmp_path / "run" / "read.csv").open() as file:
        rows = {(r["clip"], r["feature"]): r for r in csv.DictReader(file)}
    for name in ("mfcc_mel", "label.arousal", "label.valence"):
        for result in store.select([name], "c"):
            row = rows[result.clip, name]
            assert (row["fingerprint"], row["content"]) == (result.fingerprint, result.content)
    assert json.loads(rows["clip_11", "split"]["content"]) == "val"
    other_label(store)
    later = trained(store, tmp_path / "other")["labels"]
    assert isinstance(later, dict)
    assert later["arousal"]["fingerprints"] != labels["arousal"]["fingerprints"]
    assert later["valence"] == labels["valence"]


def test_a_run_that_does_not_tell_its_data_is_not_gone_on_with(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s")
    trained(store, tmp_path / "run")
    (tmp_path / "run" / "read.csv").unlink()
    with pytest.raises(RunMismatch, match=r"read\.csv doesn't tell"):
        trained(store, tmp_path / "run")
    (tmp_path / "run" / "read.csv").write_text("corpus,clip,feature\n")
    with pytest.raises(RunMismatch, match=r"read\.csv doesn't tell"):
        trained(store, tmp_path / "run")


def test_class_labels_belong_to_the_data(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s")

    def learned() -> None:
        config = make_config("guo2018_svm", store.root, "c", ["model.kernel=linear"])
        train(config, tmp_path / "run", Progress())

    learned()
    weights = hashlib.sha256((tmp_path / "run" / "model.safetensors").read_bytes()).hexdigest()
    facts = json.loads((tmp_path / "run" / "results.json").read_text())
    assert facts["labels"]["emotion"]["per"] == "clip"
    store.upsert_clips("c", pa.table({"clip": ["clip_00"], "label.emotion": ["happy"]}))
    with pytest.raises(RunMismatch, match=r"label\.emotion of 1 clip"):
        learned()
    model = tmp_path / "run" / "model.safetensors"
    assert hashlib.sha256(model.read_bytes()).hexdigest() == weights


def test_recipes_tell_all_that_they_read(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s", rows=20)
    faces = clips_table(["f1", "f2"], ["train", "val"], {"label.emotion": ["sad", "happy"]})
    store.upsert_clips("fer", faces)
    rows = Rows(np.ones((3, 4), np.float32), np.ones(3, bool))
    image = FeatureSpec("frame_48", "frame", (4,), "float32")
    store.commit(published(store, image, ["f1", "f2"], [rows, rows], corpus="fer"))
    moved = {"split": ["other", "test"], "label.split_va": ["train", "test"]}
    store.upsert_clips("c", pa.table({"clip": ["clip_00", "clip_11"], **moved}))

    def read(name: str, feature: str, *settings: str) -> tuple[set[str], set[str]]:
        made = recipe(name)
        chosen = parse(made.kind, settings)
        found = data_of(made, Context(store, "c", chosen, tmp_path, (feature,))).items
        return {item.feature for item in found}, {item.clip for item in found}

    what, clips = read("guo2018", "opensmile_is10", "train.fer_corpus=fer")
    assert {"frame_48", "label.emotion", "opensmile_is10"} <= what
    assert {"f1", "f2", "clip_01"} <= clips
    assert not {"clip_00", "clip_11"} & clips
    what, clips = read("kuhnke2020", "mfcc_mel")
    assert {"label.split_va", "label.arousal"} <= what
    assert "clip_00" in clips, "it is learned from in one task"
    assert "clip_11" not in clips
    _, clips = read("birhala2020", "mfcc_mel")
    assert {"clip_00", "clip_11"} <= clips, "folds hold out any clip"


def test_what_is_made_otherwise_now_is_told_from_the_media_on(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")

    def configured(faces: str) -> Context:
        nodes = [
            Node(name, name, 1, {}, {}, {}, key, True, inputs)
            for name, key, inputs in (
                ("faces", faces, ()),
                ("crop", "c", (("points", "faces"),)),
                ("sound", "s", ()),
            )
        ]
        store.save_configuration(Configuration("default", faces, tuple(nodes), {}))
        return Context(store, "c", parse(recipe("guo2018").kind, ()), tmp_path, ("crop", "sound"))

    then = configured("one")
    assert otherwise_made(then) == [], "of a run without results nothing is known"
    facts = {name: {"made_by": digest} for name, digest in made_by(then).items()}
    (tmp_path / "results.json").write_text(json.dumps({"features": facts}))
    assert otherwise_made(then) == []
    (told,) = otherwise_made(configured("two"))
    assert told.startswith("crop: made otherwise now than what the run learned from")


def test_a_run_that_learned_nothing_yet_begins_with_what_is_there_now(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s")
    store.upsert_clips("c", pa.table({"clip": ["clip_00"], "label.mood": ["sad"]}))
    config = make_config("guo2018_svm", store.root, "c", ["model.label=mood"])
    with pytest.raises(NothingToTrain):
        train(config, tmp_path / "run", Progress())
    moods = store.clips("c").select(["clip", "label.emotion"])
    store.upsert_clips("c", moods.rename_columns(["clip", "label.mood"]))
    train(config, tmp_path / "run", Progress())
    facts = json.loads((tmp_path / "run" / "results.json").read_text())
    assert facts["labels"]["mood"]["clips"] == 12
