"""Checkpoints: all that a training needs to go on as if it had never stopped.

``epoch-0003.safetensors`` holds weights, optimizer and random states; ``epoch-0003.json``, written
after it, the rest and the sha256 of both. A checkpoint exists once its JSON does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from trainers.errors import CheckpointDamaged
from trainers.files import made_folder, publish

#: raised when what a checkpoint holds changes
FORMAT = 2

Tensors = dict[str, torch.Tensor]


@dataclass
class State:
    """Where a training stands after an epoch.

    Attributes:
        epoch: epochs that are done.
        best_epoch, best: the epoch with the best metric so far, and the metric.
        history: one entry per epoch: loss, seconds, metrics.
        scalars: what optimizer and schedule hold besides tensors.
        finished: the training is over.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = float("-inf")
    history: list[dict[str, float]] = field(default_factory=list)
    scalars: dict[str, Any] = field(default_factory=dict)
    finished: bool = False


def write(folder: Path, state: State, tensors: Mapping[str, torch.Tensor]) -> None:
    """Add the checkpoint of ``state.epoch``; of older ones the last and the best ones stay.

    Those that the checkpoint before this one names are kept too: it is used if this one is
    damaged.
    """
    made_folder(folder)
    # copies: safetensors refuses tensors that share memory
    data = save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})
    name = _name(state.epoch)
    publish(folder / f"{name}.safetensors", data)
    document = {"format": FORMAT, "sha256": _digest(data, vars(state)), **vars(state)}
    publish(folder / f"{name}.json", json.dumps(document))
    keep = {state.epoch, state.best_epoch} | _needed_by(folder, state.epoch - 1)
    for path in folder.glob("epoch-*.*"):
        number = _epoch(path)
        if number is not None and number not in keep:
            path.unlink()


def newest(folder: Path, warn: Callable[[str], None]) -> tuple[State, Tensors] | None:
    """The newest sound checkpoint; None if there never was one.

    Args:
        warn: told of each damaged one that is passed over.

    Raises:
        CheckpointDamaged: there are checkpoints, and all are damaged.
    """
    epochs = sorted({e for p in folder.glob("epoch-*.json") if (e := _epoch(p)) is not None})
    damaged = ""
    for epoch in reversed(epochs):
        try:
            found = read(folder, epoch)
            # a best epoch that is gone or damaged would end the run with other weights than named
            if found[0].best_epoch not in (0, epoch):
                read(folder, found[0].best_epoch)
        except CheckpointDamaged as error:
            damaged = str(error)
            warn(f"{damaged}; one before it is used")
            continue
        return found
    if damaged:
        raise CheckpointDamaged(
            f"{damaged}, and there is no sound one before it; remove {folder} to start anew"
        )
    return None


def read(folder: Path, epoch: int) -> tuple[State, Tensors]:
    """One checkpoint, checked by its sha256.

    Raises:
        CheckpointDamaged: a file is missing, short or changed, or of another format.
    """
    name = _name(epoch)
    try:
        held = json.loads((folder / f"{name}.json").read_bytes())
        data = (folder / f"{name}.safetensors").read_bytes()
        if held.pop("format") != FORMAT:
            raise CheckpointDamaged(f"checkpoint {folder / name} is of another version")
        if held.pop("sha256") != _digest(data, held) or held["epoch"] != epoch:
            raise CheckpointDamaged(f"checkpoint {folder / name} is damaged: its sha256 differs")
        return State(**held), load(data)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise CheckpointDamaged(f"checkpoint {folder / name} is damaged ({error})") from error


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """An optimizer's state as tensors and JSON."""
    held = optimizer.state_dict()
    tensors: Tensors = {}
    numbers: dict[str, Any] = {}
    for index, entry in held["state"].items():
        for key, value in entry.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                numbers[f"{index}.{key}"] = value
    return tensors, {"numbers": numbers, "groups": held["param_groups"]}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], scalars: dict[str, Any]
) -> None:
    """Put what ``pack_optimizer`` gave back into an optimizer of the same model."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **scalars["numbers"]}.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": scalars["groups"]})


def _needed_by(folder: Path, epoch: int) -> set[int]:
    """The epochs that a checkpoint rests on: itself, and its best one if it can be read."""
    try:
        return {
            epoch,
            int(json.loads((folder / f"{_name(epoch)}.json").read_bytes())["best_epoch"]),
        }
    except (OSError, ValueError, LookupError, TypeError):
        return {epoch}


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _epoch(path: Path) -> int | None:
    number = path.stem.removeprefix("epoch-")
    return int(number) if number.isdigit() else None


def _digest(data: bytes, document: Mapping[str, Any]) -> str:
    """Of both files' contents."""
    text = json.dumps(json.loads(json.dumps(document)), sort_keys=True)
    return hashlib.sha256(data + text.encode()).hexdigest()
