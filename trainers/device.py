"""Where a training runs, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from trainers.errors import WrongTrainDevice


def find_device(asked: str) -> torch.device:
    """``auto`` is ``cuda`` where torch sees a GPU, else ``cpu``.

    Raises:
        WrongTrainDevice: the device isn't there.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise WrongTrainDevice(
            "train.device=cuda: torch sees no GPU here; check nvidia-smi and that torch is a "
            "CUDA build, or use train.device=cpu (--device cpu to evaluate and predict)"
        )
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(asked)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bfloat16 for what may be computed in it, or nothing; losses are computed outside."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
