"""The device that extractors compute on, and how many cards there are."""

from __future__ import annotations

from features.errors import WrongDevice


def check_device(asked: str) -> None:
    """Raise what is wrong with the word, before anything starts.

    Raises:
        WrongDevice: it is none of auto, cpu and cuda.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise WrongDevice(f"--device {asked}: choose auto, cpu or cuda")


def find_device(asked: str) -> str:
    """``auto`` -> ``cuda`` where torch sees one on this machine, else ``cpu``.

    Raises:
        WrongDevice: the device isn't there.
    """
    check_device(asked)
    if asked == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise WrongDevice(
            "--device cuda: torch sees no GPU here; check nvidia-smi and that torch is a CUDA "
            "build (python -c 'import torch; print(torch.version.cuda)'), or use --device cpu"
        )
    return "cpu"


def count_cards(device: str) -> int:
    """How many GPUs torch sees here; 0 unless the device is ``cuda``."""
    if device != "cuda":
        return 0
    import torch

    return torch.cuda.device_count()


def card_names(cards: int) -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` must hold for a process to see one card alone, per card."""
    import os

    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[:cards] if len(visible) >= cards else [str(i) for i in range(cards)]
