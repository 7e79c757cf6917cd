"""Reads the weights of convolutions, affine and linear layers from dlib's serialised networks.

dlib writes a network from its input to its output; each layer with weights is its name, then its
parameters as a tensor. Integers are one byte with the number of bytes (the highest bit is the
sign) and the bytes, lowest first; a text is its length and its bytes; a tensor is a version,
four sizes, and float32, lowest byte first. Nothing in such a file is code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import WeightsDamaged

#: names of dlib's layers that have weights, as far as the face networks use them
_LAYERS = re.compile(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2")

#: integers between a layer's name and its tensor: outputs and inputs of a linear layer
_BEFORE = {"fc_2": 2}

TENSOR_VERSION = 2
SIZES = 4
SIGN = 0x80


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer's name, such as ``con_4``, and its parameters, float32, flat."""

    name: str
    values: NDArray[np.float32]


def layers(data: bytes) -> Iterator[Layer]:
    """The layers with weights, in order from the network's input.

    Raises:
        WeightsDamaged: not such a file, or it stops early.
    """
    at = 0
    while (match := _LAYERS.search(data, at)) is not None:
        name = match.group()[2:].decode()
        at = match.end()
        for _ in range(_BEFORE.get(name, 0)):
            _, at = _integer(data, at)
        version, at = _integer(data, at)
        if version != TENSOR_VERSION:
            raise WeightsDamaged(f"{name} holds a tensor of version {version}; 2 is known")
        sizes = []
        for _ in range(SIZES):
            size, at = _integer(data, at)
            sizes.append(size)
        count = math.prod(sizes)
        if count < 0 or at + 4 * count > len(data):
            raise WeightsDamaged(f"the weights of {name} stop early; get the file again")
        yield Layer(name, np.frombuffer(data, "<f4", count, at))
        at += 4 * count


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """An integer of dlib's, and where what follows it begins."""
    control = data[at]
    count = control & ~SIGN
    value = int.from_bytes(data[at + 1 : at + 1 + count], "little")
    return (-value if control & SIGN else value), at + 1 + count
