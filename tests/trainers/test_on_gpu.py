"""Training on a pretended GPU: support vector machines, and a card that is full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pretend_cuda import Card, pretend_cuda
from tests.trainers.test_checkpoint_loop import SETTINGS, Said
from tests.trainers.test_svm import blobs
from tests.trainers.trainer_kit import made_store
from trainers.errors import GpuFull
from trainers.models.svm import GRID
from trainers.models.svm_torch import by_torch
from trainers.recipe import Outcome
from trainers.recipes.rasipuram2020 import Rasipuram2020
from trainers.run import RunConfig, start
from trainers.settings import parse


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_store(tmp_path_factory.mktemp("gpu") / "store", 6).root


@pytest.fixture
def card() -> Iterator[Card]:
    with pretend_cuda() as made:
        yield made


def train(store: str, folder: Path, said: Said, *more: str) -> Outcome:
    made = Rasipuram2020()
    settings = parse(
        made.kind,
        [
            *SETTINGS,
            "train.epochs=2",
            "model.stride=40",
            "train.batch=64",
            "train.load=device",
            *more,
        ],
    )
    features = made.features(settings, {"facemesh_714"})
    config = RunConfig(made.name, store, "c", settings.model_dump(), features)
    recipe, context = start(config, folder, said)
    return recipe.train(context)


def test_support_vector_machines_are_found_on_the_card(card: Card) -> None:
    rows, labels = blobs(24, 3)
    kernel = rows @ rows.T
    found = by_torch(torch.device("cuda"))(kernel, labels, 3, [GRID[0].c])[0]
    assert card.calls > 100
    expected = by_torch(torch.device("cpu"))(kernel, labels, 3, [GRID[0].c])[0]
    for name, values in vars(expected).items():
        assert np.allclose(vars(found)[name], values, atol=1e-6), name


def test_a_full_card_is_told_with_what_to_do(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, *_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore")

    monkeypatch.setattr("trainers.models.gru_fusion.GruFusion.forward", full)
    with pytest.raises(GpuFull, match=r"Tried to allocate 9 GiB.*train\.batch"):
        train(store, tmp_path / "run", Said(), "train.load=ram")
