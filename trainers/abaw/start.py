"""What the two-stream network begins with: public weights of other tasks, its own, or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from features.nets.tsav import TwoStream
from trainers.errors import WrongSetting
from trainers.pretrained import start_from

#: names in the weights registry
VISUAL, AURAL, RELEASED = "r2plus1d18-kinetics400", "resnet18-imagenet", "tsav"


def begin_public(net: TwoStream, weights: Mapping[str, Path]) -> list[str]:
    """Give each stream the public weights that are there; what it begins with, a line each.

    The visual stream's first convolution takes the RGB weights and keeps its own for the mask;
    the aural stream's takes the mean over the three colours.

    Raises:
        WrongWeights: the weights are another network's.
    """
    notes = []
    if net.video_model is not None:
        path = weights.get(VISUAL)
        if path is not None:
            visual = net.video_model.r2plus1d
            start_from(visual, path, skip=("fc.", "stem.0."))
            with torch.no_grad():
                visual.get_parameter("stem.0.weight")[:, :3] = _tensor(path, "stem.0.weight")
        notes.append(_note("visual", VISUAL, path))
    if net.audio_model is not None:
        path = weights.get(AURAL)
        if path is not None:
            aural = net.audio_model.resnet
            start_from(aural, path, skip=("fc.", "conv1."))
            with torch.no_grad():
                first = _tensor(path, "conv1.weight")
                aural.get_parameter("conv1.weight").copy_(first.mean(1, keepdim=True))
        notes.append(_note("aural", AURAL, path))
    return notes


def begin_released(net: TwoStream, weights: Mapping[str, Path]) -> list[str]:
    """Give the network the authors' own weights.

    Raises:
        WrongSetting: they aren't there. WrongWeights: they are another network's.
    """
    path = weights.get(RELEASED)
    if path is None:
        raise WrongSetting(
            f"model.start=released: weights {RELEASED} aren't there; affectstore weights show "
            f"{RELEASED} tells where to get them, then: affectstore weights add {RELEASED} FILE"
        )
    start_from(net, path)
    return [f"starts with the authors' released weights ({RELEASED})"]


def _note(stream: str, name: str, path: Path | None) -> str:
    if path is not None:
        return f"{stream} stream: starts from weights {name}"
    return (
        f"{stream} stream: from scratch: weights {name} aren't there "
        f"(affectstore weights show {name})"
    )


def _tensor(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        found: torch.Tensor = file.get_tensor(name)
    return found
