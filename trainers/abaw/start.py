"""What the two-stream network begins with: public weights of other tasks, its own, or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from features.nets.tsav import TwoStream
from trainers.errors import CheckpointDamaged, WrongSetting

#: names in the weights registry
VISUAL, AURAL, RELEASED = "r2plus1d18-kinetics400", "resnet18-imagenet", "tsav"


def begin_public(net: TwoStream, weights: Mapping[str, Path]) -> list[str]:
    """Give each stream the public weights that are there; what it begins with, a line each.

    The visual stream's first convolution takes the RGB weights and keeps its own for the mask;
    the aural stream's takes the mean over the three colours.

    Raises:
        CheckpointDamaged: the weights are another network's.
    """
    notes = []
    if net.video_model is not None:
        path = weights.get(VISUAL)
        if path is not None:
            state = _without_classes(path)
            own = net.video_model.r2plus1d.state_dict()["stem.0.weight"].clone()
            own[:, :3] = state["stem.0.weight"]
            _load(net.video_model.r2plus1d, state | {"stem.0.weight": own}, path)
        notes.append(_note("visual", VISUAL, path))
    if net.audio_model is not None:
        path = weights.get(AURAL)
        if path is not None:
            state = _without_classes(path)
            mean = state["conv1.weight"].mean(1, keepdim=True)
            _load(net.audio_model.resnet, state | {"conv1.weight": mean}, path)
        notes.append(_note("aural", AURAL, path))
    return notes


def begin_released(net: TwoStream, weights: Mapping[str, Path]) -> list[str]:
    """Give the network the authors' own weights.

    Raises:
        WrongSetting: they aren't there. CheckpointDamaged: they are another network's.
    """
    path = weights.get(RELEASED)
    if path is None:
        raise WrongSetting(
            f"model.start=released: weights {RELEASED} aren't there; affectstore weights show "
            f"{RELEASED} tells where to get them, then: affectstore weights add {RELEASED} FILE"
        )
    _load(net, load_file(path), path)
    return [f"starts with the authors' released weights ({RELEASED})"]


def _note(stream: str, name: str, path: Path | None) -> str:
    if path is not None:
        return f"{stream} stream: starts with {name}"
    return (
        f"{stream} stream: starts from scratch; {name} aren't there (affectstore weights show "
        f"{name} tells where to get them)"
    )


def _without_classes(path: Path) -> dict[str, Tensor]:
    return {name: t for name, t in load_file(path).items() if not name.startswith("fc.")}


def _load(net: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = net.state_dict()
    wanted = {n: t.shape for n, t in own.items() if not n.endswith("num_batches_tracked")}
    given = {n: t.shape for n, t in state.items() if not n.endswith("num_batches_tracked")}
    if wanted != given:
        other = sorted(n for n in wanted.keys() | given.keys() if wanted.get(n) != given.get(n))
        raise CheckpointDamaged(
            f"{path} doesn't fit {type(net).__name__}: {', '.join(other[:3])}; add it again: "
            "affectstore weights add"
        )
    with torch.no_grad():
        net.load_state_dict(dict(state), strict=False)
