"""Giving a network its numbers: the user's weights, or numbers without meaning for tests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from features import weights

N = TypeVar("N", bound=nn.Module)

#: where a network's numbers come from; ``random`` shows in the extractor's key
Origin = Literal["published", "random"]


def filled(make: Callable[[], N], name: str, origin: Origin = "published") -> N:
    """The network with the weights of that name, on the CPU, for inference.

    Raises:
        MissingWeights, WeightsDamaged: see ``features.weights.read``.
    """
    with torch.device("meta"):
        net = make()
    state = random_state(net) if origin == "random" else weights.tensors(name)
    for key, tensor in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros_like(tensor, device="cpu")
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def random_state(net: nn.Module) -> dict[str, Tensor]:
    """Numbers for every tensor of a network: always the same, of sizes that keep maps in range.

    They stand in for weights that can't be had, in tests; features made with them mean nothing.
    """
    return {
        key: torch.from_numpy(_numbers(key, tuple(tensor.shape)))
        for key, tensor in net.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def _numbers(key: str, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Uniform numbers, seeded by the tensor's name."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    unit = np.random.default_rng(seed).random(shape, np.float32)
    last = key.rsplit(".", 1)[-1]
    if last == "mean_image":
        return np.asarray(100 + 50 * unit, np.float32)
    if last == "running_var":
        return np.asarray(0.5 + unit, np.float32)
    if last == "weight" and len(shape) == 1:
        return np.asarray(0.2 + 0.2 * unit, np.float32)
    if last == "weight":
        bound = math.sqrt(6 / math.prod(shape[1:]))
        unit *= 2 * bound
        unit -= bound
        return unit
    return np.asarray(0.2 * unit - 0.1, np.float32)
