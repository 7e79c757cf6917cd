"""What the two-stream network begins with: public weights of other tasks, its own, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

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
        visual = net.video_model.r2plus1d
        notes.append(_begin("visual", visual, VISUAL, weights, "stem.0.weight", _colours))
    if net.audio_model is not None:
        aural = net.audio_model.resnet
        notes.append(_begin("aural", aural, AURAL, weights, "conv1.weight", _grey))
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


def _begin(
    stream: str,
    net: nn.Module,
    name: str,
    weights: Mapping[str, Path],
    first: str,
    adapt: Callable[[Tensor, Tensor], None],
) -> str:
    """Give a stream its public weights, if they are there; what it begins with.

    Args:
        first: its first convolution; adapt: puts the public one's numbers into it.
    """
    path = weights.get(name)
    if path is None:
        return (
            f"{stream} stream: from scratch: weights {name} aren't there "
            f"(affectstore weights show {name})"
        )
    start_from(net, path, skip=("fc.", first))
    with torch.no_grad(), safe_open(path, "pt") as file:
        adapt(net.get_parameter(first), file.get_tensor(first))
    return f"{stream} stream: starts from weights {name}"


def _colours(own: Tensor, public: Tensor) -> None:
    own[:, : public.shape[1]] = public


def _grey(own: Tensor, public: Tensor) -> None:
    own.copy_(public.mean(1, keepdim=True))
