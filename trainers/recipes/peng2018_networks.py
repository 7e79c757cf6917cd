"""What a stage of peng2018 trains, towards what, and how fast."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from trainers.files import held_tensors
from trainers.loop import Schedule
from trainers.losses import concordance_loss
from trainers.models.anet import FEATURES, ANet
from trainers.models.audio_visual import LABELS, AudioVisual
from trainers.models.vnet import FaceBackbone, VNet
from trainers.recipes.peng2018_settings import Loss, Model, Stage, Train
from trainers.targets import Values

#: what a stage trains -> its networks' names in the state
PARTS: Mapping[Stage, tuple[str, ...]] = {
    "vnet": ("vnet",),
    "anet": ("anet",),
    "joint": ("anet", "vnet"),
}


class Utterances(Values):
    """Arousal and valence of utterances; ``ccc_total`` is the sum that the paper reports."""

    monitor = "ccc_total"

    def metrics(self, answers: NDArray[np.float64], wanted: torch.Tensor) -> dict[str, float]:
        """CCC of each over all utterances, and their sum."""
        found = super().metrics(answers, wanted)
        mean = found.pop("ccc_mean")
        return found | {"ccc_total": mean * len(self.labels)}


def network(model: Model, stage: Stage, inputs: int) -> AudioVisual:
    """A new network of a stage; ``inputs`` are the numbers per face where it sees features."""
    anet = vnet = None
    if "anet" in PARTS[stage]:
        anet = ANet(model.scale)
    if "vnet" in PARTS[stage]:
        backbone = FaceBackbone(model.channels, model.scale) if model.vnet == "crops" else None
        hidden = max(4, round(FEATURES * model.scale))
        vnet = VNet(backbone.features if backbone else inputs, hidden, backbone)
    return AudioVisual(anet, vnet)


def load_part(network: AudioVisual, part: str, path: Path) -> None:
    """Tensors of one of the two networks, in place."""
    tensors = held_tensors(path)
    prefix = f"{part}."
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    network.get_submodule(part).load_state_dict(own)


def optimizer(net: nn.Module, train: Train) -> tuple[torch.optim.Optimizer, Schedule]:
    """Momentum and a rate that falls to a tenth after the epochs of ``train.lr_steps``."""
    sgd = torch.optim.SGD(
        net.parameters(), train.lr, momentum=train.momentum, weight_decay=train.weight_decay
    )
    steps = sorted(train.lr_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        sgd, lambda epoch: 0.1 ** bisect.bisect_right(steps, epoch)
    )
    return sgd, schedule


def target(loss: Loss = "mse") -> Utterances:
    """Arousal and valence, with the loss of that name."""
    return Utterances(LABELS, concordance_loss if loss == "ccc" else functional.mse_loss)
