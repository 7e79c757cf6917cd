"""Networks that start from numbers trained by others, where the user has added them."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from trainers.errors import WrongWeights
from trainers.recipe import Context


def start(context: Context, net: nn.Module, name: str, *, skip: tuple[str, ...] = ()) -> str:
    """Give a network the weights of that registry name in place, if the user has added them.

    Args:
        name: one of what the recipe's ``pretrained`` names.
        skip: see ``start_from``.

    Returns:
        One line for the run's notes: what the network starts from.

    Raises:
        WrongWeights: see ``start_from``.
    """
    path = context.weights.get(name)
    if path is None:
        return f"from scratch: weights {name} aren't there (affectstore weights show {name})"
    start_from(net, path, skip=skip)
    return f"starts from weights {name}"


def start_from(net: nn.Module, path: Path, *, skip: tuple[str, ...] = ()) -> None:
    """Give a network that will be trained the tensors of a safetensors file, in place.

    Args:
        skip: tensors whose name begins with one of these keep the network's own numbers, such as
            ``("fc.",)`` for a last layer of other classes; the file need not have them, nor the
            network.

    Raises:
        WrongWeights: the rest doesn't fit the network.
    """
    state = {key: t for key, t in load_file(path).items() if not key.startswith(skip)}
    own = net.state_dict()
    other = [key for key in state if key not in own or own[key].shape != state[key].shape]
    wanted = [k for k in own if not k.startswith(skip) and not k.endswith("num_batches_tracked")]
    other += [key for key in wanted if key not in state]
    if other:
        raise WrongWeights(
            f"{path} doesn't fit {type(net).__name__}: {', '.join(other[:3])}"
            f"{', …' if len(other) > 3 else ''}; build the network as published (model.scale=1), "
            "or start from scratch (model.pretrained=false)"
        )
    net.load_state_dict(state, strict=False)
