"""How the networks of guo2018 learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from trainers.guo2018.settings import Train
from trainers.loop import Schedule
from trainers.schedules import StepDecay

#: what the learning rate of maps is multiplied by now and then (paper)
MAPS_FACTOR = 0.1

Optimizer = Callable[[nn.Module], tuple[torch.optim.Optimizer, Schedule | None]]


def sgd(train: Train, faster: str = "") -> Optimizer:
    """SGD with momentum; tensors whose name begins so learn ``classes_lr`` times faster."""

    def make(net: nn.Module) -> tuple[torch.optim.Optimizer, Schedule | None]:
        named = dict(net.named_parameters())
        quick = [p for n, p in named.items() if faster and n.startswith(faster)]
        slow = [p for n, p in named.items() if not (faster and n.startswith(faster))]
        groups: list[dict[str, object]] = [{"params": slow}]
        if quick:
            groups.append({"params": quick, "lr": train.lr * train.classes_lr})
        return torch.optim.SGD(groups, lr=train.lr, momentum=train.momentum), None

    return make


def decaying_sgd(train: Train) -> Optimizer:
    """SGD of the maps: weight decay, and a tenth of the rate every so many steps."""

    def make(net: nn.Module) -> tuple[torch.optim.Optimizer, Schedule | None]:
        optimizer = torch.optim.SGD(
            net.parameters(),
            lr=train.maps_lr,
            momentum=train.momentum,
            weight_decay=train.maps_weight_decay,
        )
        return optimizer, StepDecay(optimizer, train.maps_decay, MAPS_FACTOR)

    return make
