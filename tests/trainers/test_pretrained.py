"""Starts from weights that a user has added: which tensors, how it is told, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file

from features import weights
from features.nets.filling import random_state
from features.nets.resnet18 import ResNet18
from features.weights.adding import add
from flows.recipe import absent_weights, make_config
from storage import FeatureStore
from tests.trainers.trainer_kit import made_store
from trainers import pretrained
from trainers.errors import RunMismatch, WrongWeights
from trainers.loop import Progress
from trainers.pretrained import start_from
from trainers.recipe import Context
from trainers.recipes.guo2018_svm import Guo2018Svm
from trainers.run import start
from trainers.settings import Settings

NAME = "resnet18-imagenet"


class FromResNet(Guo2018Svm):
    """A recipe that starts from weights; nothing else of it is used."""

    name: ClassVar[str] = "from_resnet"

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        return (NAME,)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setattr("flows.recipe.recipe", lambda name: FromResNet())
    monkeypatch.setattr("trainers.run.recipe", lambda name: FromResNet())
    return made_store(tmp_path / "store", clips=4, rows=5).root


def added(folder: Path) -> dict[str, torch.Tensor]:
    """Numbers without meaning, taken in by the registry as a user's own file."""
    with torch.device("meta"):
        state = random_state(ResNet18())
    torch.save(state, folder / "own.pth")
    add(NAME, [folder / "own.pth"], unknown=True)
    return state


def context(config: Any, folder: Path) -> Context:
    return start(config, folder, Progress())[1]


def test_a_run_knows_the_digest_of_what_it_starts_from(store: str, tmp_path: Path) -> None:
    before = make_config("from_resnet", store, "c", [])
    assert before.pretrained == {NAME: "absent"}
    assert "resnet18-f37072fd.pth" in absent_weights(before)[NAME]
    start(before, tmp_path / "run", Progress())
    added(tmp_path)
    after = make_config("from_resnet", store, "c", [])
    assert after.pretrained == {NAME: weights.sha256(NAME)}
    assert absent_weights(after) == {}
    assert after.id != before.id
    start(after, tmp_path / "run", Progress())
    (tmp_path / "run" / "model.json").write_text("{}")
    with pytest.raises(RunMismatch, match=r"other pretrained \(.*, not .*absent"):
        start(before, tmp_path / "run", Progress())


def test_layers_of_its_own_keep_their_numbers(store: str, tmp_path: Path) -> None:
    published = added(tmp_path)
    held = Context(FeatureStore.open(store), "c", Settings(), tmp_path, ())
    held = replace(held, weights={NAME: weights.proved(NAME)})
    net = ResNet18(channels=1, classes=7)
    head = net.state_dict()["fc.weight"].clone()
    note = pretrained.start(held, net, NAME, skip=("conv1.", "fc."))
    assert note == f"starts from weights {NAME}"
    assert torch.equal(net.state_dict()["layer4.1.bn2.bias"], published["layer4.1.bn2.bias"])
    assert torch.equal(net.state_dict()["fc.weight"], head)
    assert all(p.requires_grad for p in net.parameters())
    with pytest.raises(WrongWeights, match=r"doesn't fit ResNet18: conv1\.weight, fc\."):
        start_from(net, weights.proved(NAME))


def test_without_the_file_training_starts_from_scratch_and_says_so(
    store: str, tmp_path: Path
) -> None:
    made = context(make_config("from_resnet", store, "c", []), tmp_path / "run")
    net = torch.nn.Linear(2, 2)
    before = net.weight.clone()
    assert pretrained.start(made, net, NAME).startswith(f"from scratch: weights {NAME}")
    assert torch.equal(net.weight, before)


def test_a_file_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2, 2)}, tmp_path / "w.safetensors")
    with pytest.raises(WrongWeights, match="doesn't fit Linear: bias"):
        start_from(torch.nn.Linear(2, 2), tmp_path / "w.safetensors")
