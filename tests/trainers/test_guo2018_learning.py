"""guo2018 learns: of subjects never met, each part better than chance; of other labels none is.

Faces learn in the paper's stages: single pictures in FER-2013's layout, then faces, then sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from storage import FeatureStore
from tests.trainers.afew_tree import afew_tree
from tests.trainers.chance import BETTER, binomial_p
from tests.trainers.fer_table import fer_table

pytestmark = [pytest.mark.long, pytest.mark.timeout(10800)]

SPLITS = ("Train",) * 104 + ("Val",) * 32 + ("Test",) * 48
CLASSES = 4
PARTS = ("faces", "provided", "svm", "shortterm", "maps")
IMAGES = {"Training": 1600, "PublicTest": 200}
SMALL = ("train.refit=false", "train.folds=4", "train.patience=0", "train.fer_corpus=fer")
SMALL += ("model.scale=0.125", "model.size=48", "model.map_size=32", "model.dropout=0")
#: a small network from scratch: no paper's start of small numbers, steps of bounded length
SMALL += ("model.lstm_init=0.1", "train.classes_lr=1", "train.clip_norm=1", "train.batch=16")
#: the first stage stands still for some nine epochs, more or fewer by the machine's last digits
SMALL += ("train.lr=0.01", "train.fer_epochs=28", "train.epochs=25")
SMALL += ("train.maps_lr=0.02", "train.maps_iterations=400")
#: a second and a half has no 16 faces that are 8 of 60 frames apart
SMALL += ("model.length=4", "model.every=12")

Facts = Callable[..., Any]
Scores = Mapping[str, Mapping[str, float]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, facts: Facts) -> Path:
    root = tmp_path_factory.mktemp("guo-learning")
    # two clips of a subject lie side by side, so that no subject is in two splits
    tree = afew_tree(root, SPLITS, 1.5, unlabelled="none")
    facts("ingest", tree, "--adapter", "afew", "-s", root / "store", "-c", "afew")
    table = fer_table(root / "fer2013.csv", IMAGES)
    facts("ingest", table, "--adapter", "fer2013", "-s", root / "store", "-c", "fer")
    facts("extract", "-s", root / "store", "-c", "fer", "-f", "frame_48", "--no-prefect")
    return root / "store"


@pytest.fixture(scope="module")
def scores(store: Path, facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """Metrics of the test split, learned from true labels and from other clips'."""
    found = {}
    for name, control in (("real", "false"), ("control", "true")):
        chosen = (*SMALL, f"train.shuffle_labels={control}")
        words = [word for text in chosen for word in ("--set", text)]
        folder = tmp_path_factory.mktemp(name) / "run"
        facts("run-recipe", "guo2018", "-s", store, "-c", "afew", "--to", folder, *words)
        found[name] = facts("evaluate", folder, "--split", "test")["metrics"]
    print(found)
    return found


@pytest.fixture(scope="module")
def clips(store: Path) -> int:
    """How many are scored."""
    given = FeatureStore.open(store).clips("afew").to_pylist()
    return sum(clip["split"] == "test" for clip in given)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_tells_the_emotion_of_strangers(part: str, scores: Scores, clips: int) -> None:
    p = {
        name: binomial_p(round(found[f"accuracy_{part}"] * clips), clips, CLASSES)
        for name, found in scores.items()
    }
    assert p["real"] < BETTER < p["control"]


def test_the_fused_answer_is_better_than_most_parts_and_than_chance_only_where_labels_are_true(
    scores: Scores, clips: int
) -> None:
    # not than the best one: of weights that are all right about 32 clips the most even are taken
    parts = [scores["real"][f"accuracy_{part}"] for part in PARTS]
    assert scores["real"]["accuracy"] > median(parts)
    right = {name: round(found["accuracy"] * clips) for name, found in scores.items()}
    p = {name: binomial_p(n, clips, CLASSES) for name, n in right.items()}
    assert p["real"] < BETTER < p["control"]
