"""Clips without a valid row of a feature are named; without any there is nothing to learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.spec import Rows
from storage import FeatureStore
from storage.selection import select_clips
from tests.trainers.test_checkpoint_loop import Said, train
from tests.trainers.trainer_kit import SOUND, made_store, published
from trainers.errors import NothingToTrain
from trainers.loop import Progress
from trainers.rowless import need_rows, rowless
from trainers.run import open_run

SMALL = ("model.branches=audio", "train.epochs=1")


def silence(store: FeatureStore, *clips: str) -> None:
    """From now on the clips have no valid row of sound."""
    none = [Rows(np.full((12, 6), np.nan, np.float32), np.zeros(12, bool)) for _ in clips]
    results = published(store, SOUND, list(clips), none)
    store.commit([replace(r, fingerprint=f"silent-{r.clip}") for r in results])


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return made_store(tmp_path / "store", clips=6, rows=14)


def test_clips_without_a_valid_row_are_counted_by_feature(store: FeatureStore) -> None:
    silence(store, "clip_01", "clip_02")
    features = ("mfcc_mel", "expnet")
    found = select_clips(store, features, "c", split="train")
    said = ["train: 2 clips without a valid row of mfcc_mel"]
    assert rowless(found, features, "train") == said
    assert rowless(found, ("expnet",), "train") == []
    need_rows(found, features, "train")


def test_a_run_names_them_and_needs_some_that_have_rows(
    store: FeatureStore, tmp_path: Path
) -> None:
    silence(store, "clip_02", "clip_05")
    outcome = train(store.root, tmp_path / "run", Progress(), *SMALL)
    told = [f"{split}: 1 clip without a valid row of mfcc_mel" for split in ("train", "val")]
    assert outcome.notes == told
    said = Said()
    recipe, context, _ = open_run(tmp_path / "run", said)
    recipe.evaluate(context, "val")
    assert said.lines == told[1:]
    silence(store, *(f"clip_{i:02d}" for i in range(4)))
    with pytest.raises(NothingToTrain, match="train: no clip has a valid row of mfcc_mel"):
        train(store.root, tmp_path / "other", Progress(), *SMALL)
