"""What a run needs of its process: signals that stop it, and the device it computes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from features.errors import WrongDevice
from flows.runners import Runner
from flows.summary import Summary


@contextmanager
def stopping(on: Runner, summary: Summary) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) stops the run cleanly, the second at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, _: object) -> None:
        if summary.interrupted:
            raise KeyboardInterrupt
        summary.interrupted = True
        on.stop()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def find_device(asked: str) -> str:
    """``auto`` -> ``cuda`` where torch sees one, else ``cpu``.

    Raises:
        WrongDevice: the device isn't there.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise WrongDevice(f"--device {asked}: choose auto, cpu or cuda")
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
