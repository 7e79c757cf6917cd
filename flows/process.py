"""What a run needs of its process: the signals that stop it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flows.runners import Runner
from flows.summary import Progress, Summary


@contextmanager
def stopping(on: Runner, summary: Summary, progress: Progress) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) stops the run cleanly, the second at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, _: object) -> None:
        if summary.interrupted:
            raise KeyboardInterrupt
        summary.interrupted = True
        on.stop()
        progress.stopping()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
