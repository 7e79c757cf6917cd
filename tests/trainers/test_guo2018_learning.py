"""guo2018's sound learns: of subjects never met, better than chance; of other labels it doesn't.

The pictures aren't here: VGG-Face from scratch learns nothing from so few clips (docs/recipes.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage import FeatureStore
from tests.trainers.afew_tree import afew_tree
from tests.trainers.chance import BETTER, binomial_p

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

SPLITS = ("Train",) * 104 + ("Val",) * 16 + ("Test",) * 48
CLASSES = 4
SMALL = ("train.refit=false", "train.folds=4", "train.patience=0", "train.epochs=25")
SMALL += ("train.lr=0.05", "train.batch=8", "model.scale=0.06", "model.lstm_init=0.1")
SMALL += ("train.maps_iterations=150", "train.maps_lr=0.02", "model.map_size=32")

Facts = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, facts: Facts) -> Path:
    root = tmp_path_factory.mktemp("guo-learning")
    # two clips of a subject lie side by side, so that no subject is in two splits
    tree = afew_tree(root, SPLITS, 1.5, unlabelled="none", faces=False)
    facts("ingest", tree, "--adapter", "afew", "-s", root / "store", "-c", "afew")
    return root / "store"


@pytest.mark.parametrize("part", ["svm", "shortterm", "maps"])
def test_sound_tells_the_emotion_of_the_test_split(
    part: str, store: Path, facts: Facts, tmp_path: Path
) -> None:
    test = FeatureStore.open(store).clips("afew").to_pylist()
    clips = sum(clip["split"] == "test" for clip in test)
    p = {}
    for name, control in (("real", "false"), ("control", "true")):
        chosen = (*SMALL, f"model.parts={part}", f"train.shuffle_labels={control}")
        words = [word for text in chosen for word in ("--set", text)]
        folder = tmp_path / name
        facts("run-recipe", "guo2018", "-s", store, "-c", "afew", "--to", folder, *words)
        share = facts("evaluate", folder, "--split", "test")["metrics"]["accuracy"]
        p[name] = binomial_p(round(share * clips), clips, CLASSES)
    assert p["real"] < BETTER < p["control"]
