"""Full float32 arithmetic on a GPU, whatever the process is set to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def exact(device: torch.device | str) -> Iterator[None]:
    """Full float32 products and repeatable kernels on a GPU; on a CPU nothing is set.

    Convolutions take shortened mantissas (TF32) unless told not to; matrix products do in a
    process or a container that asks for it (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE).
    """
    if torch.device(device).type == "cpu":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
