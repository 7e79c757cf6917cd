"""Learning is real: of subjects never met, better than chance; with shuffled labels it is not.

Better than chance is p < .01, by a binomial test of the hits, or by permuting clips for CCC.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from corpora.demo import make_demo
from storage import FeatureStore
from tests.trainers.chance import BETTER, binomial_p, hits, permutation_p

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

CLASSES = 4
CONTROL = "train.shuffle_labels=true"
GRU = ("model.branches=audio", "model.stride=5", "train.lr=2e-3", "train.epochs=20")
#: the epoch is chosen by the clips that are learned from: those that are scored choose nothing
GRU += ("train.batch=16", "train.patience=0", "train.val_split=train")
#: 36 subjects in 3 folds: every clip is held out once
BIRHALA = ("train.folds=3", "train.epochs=30", "train.batch=8", "train.lr=2e-2")
BIRHALA += ("model.n_segments=2", "model.scale=0.125")
#: faces and spectrum maps from scratch; more and smaller steps than for thousands of clips
PENG = ("model.vnet=crops", "model.scale=0.1", "model.frames=4", "model.maps=1", "train.batch=4")
PENG += ("train.epochs=15", "train.lr=0.03", "train.anet_lr=0.003", "train.lr_steps=[100]")
PENG += ("train.joint_epochs=14", "train.joint_lr_every=100", "train.val_split=train")

Facts = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, facts: Facts) -> Path:
    return demo_store(tmp_path_factory.mktemp("learning"), facts, clips=24, seconds=3.0)


def demo_store(root: Path, facts: Facts, clips: int, seconds: float) -> Path:
    make_demo(root / "media", clips=clips, seconds=seconds)
    facts("ingest", root / "media", "--adapter", "demo", "-s", root / "store", "-c", "demo")
    return root / "store"


def run(facts: Facts, store: Path, name: str, folder: Path, settings: tuple[str, ...]) -> Any:
    words = [word for text in settings for word in ("--set", text)]
    done = facts("run-recipe", name, "-s", store, "-c", "demo", "--to", folder, *words)
    facts("predict", folder, "--to", folder / "p.csv")
    return done


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "p.csv").open() as file:
        return list(csv.DictReader(file))


def emotions(store: Path, split: str | None) -> Mapping[str, str]:
    clips = FeatureStore.open(store).clips("demo").to_pylist()
    seen = {c["subject"] for c in clips if c["split"] == "train"}
    assert seen.isdisjoint({c["subject"] for c in clips if c["split"] == "val"})
    return {c["clip"]: c["label.emotion"] for c in clips if split in (None, c["split"])}


def p_of_classes(folder: Path, wanted: Mapping[str, str]) -> float:
    found = {row["clip"]: row["class"] for row in rows(folder)}
    return binomial_p(hits(found, wanted), len(wanted), CLASSES)


def ccc_arousal(facts: Facts, folder: Path) -> float:
    return float(facts("evaluate", folder, "--split", "val")["metrics"]["ccc_arousal"])


def p_of_arousal(folder: Path, store: Path) -> float:
    opened = FeatureStore.open(store)
    found: dict[str, list[float]] = {}
    for row in rows(folder):
        found.setdefault(row["clip"], []).append(float(row["arousal"]))
    labels: dict[str, NDArray[np.float64]] = {
        clip: opened.read(clip, "label.arousal", corpus="demo").values.astype(np.float64)
        for clip in emotions(store, "val")
    }
    return permutation_p([np.array(found[clip]) for clip in labels], list(labels.values()))


def test_functionals_tell_the_emotion_twice_as_well_as_chance(
    store: Path, facts: Facts, tmp_path: Path
) -> None:
    wanted = emotions(store, "val")
    done = run(facts, store, "guo2018_svm", tmp_path / "real", ())
    assert done["metrics"]["accuracy"] >= 2 / CLASSES
    assert p_of_classes(tmp_path / "real", wanted) < BETTER
    run(facts, store, "guo2018_svm", tmp_path / "control", (CONTROL,))
    assert p_of_classes(tmp_path / "control", wanted) > BETTER


def test_sound_tells_arousal(store: Path, facts: Facts, tmp_path: Path) -> None:
    run(facts, store, "rasipuram2020", tmp_path / "real", GRU)
    assert ccc_arousal(facts, tmp_path / "real") >= 0.6
    assert p_of_arousal(tmp_path / "real", store) < BETTER
    run(facts, store, "rasipuram2020", tmp_path / "control", (*GRU, CONTROL))
    assert ccc_arousal(facts, tmp_path / "control") < 0.3
    assert p_of_arousal(tmp_path / "control", store) > BETTER


def test_segments_of_face_and_sound_tell_the_emotion(facts: Facts, tmp_path: Path) -> None:
    store = demo_store(tmp_path, facts, clips=72, seconds=1.0)
    facts("extract", "-s", store, "-f", "face_224,spectrogram_192x120", "--no-prefect")
    wanted = emotions(store, None)
    run(facts, store, "birhala2020", tmp_path / "real", BIRHALA)
    assert p_of_classes(tmp_path / "real", wanted) < BETTER
    run(facts, store, "birhala2020", tmp_path / "control", (*BIRHALA, CONTROL))
    assert p_of_classes(tmp_path / "control", wanted) > BETTER


def test_faces_and_sound_tell_arousal_and_valence_of_clips(facts: Facts, tmp_path: Path) -> None:
    store = demo_store(tmp_path, facts, clips=48, seconds=1.6)
    opened = FeatureStore.open(store).clips("demo").to_pylist()
    clips = {c["clip"]: c for c in opened if c["split"] == "val"}

    def p_of(folder: Path, label: str) -> float:
        found = {row["clip"]: np.array([float(row[label])]) for row in rows(folder)}
        wanted = [np.array([clip[f"label.{label}"]]) for clip in clips.values()]
        return permutation_p([found[name] for name in clips], wanted)

    run(facts, store, "peng2018", tmp_path / "real", PENG)
    assert p_of(tmp_path / "real", "valence") < BETTER
    assert p_of(tmp_path / "real", "arousal") < BETTER
    run(facts, store, "peng2018", tmp_path / "control", (*PENG, CONTROL))
    assert p_of(tmp_path / "control", "valence") > BETTER
    assert p_of(tmp_path / "control", "arousal") > BETTER
