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


def need_precision(device: torch.device, precision: str) -> None:
    """The device computes in that precision itself: what torch imitates is slower than fp32.

    Raises:
        WrongTrainDevice: it doesn't.
    """
    lacks = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and lacks:
        raise WrongTrainDevice(
            f"train.precision=bf16: {torch.cuda.get_device_name(device)} doesn't compute in "
            "bfloat16; train with train.precision=fp32, or use train.device=cpu (--device cpu to "
            "evaluate and predict)"
        )


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bfloat16 for what may be computed in it, or nothing; losses are computed outside.

    Raises:
        WrongTrainDevice: the device has no bfloat16.
    """
    if precision == "bf16":
        need_precision(device, precision)
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
