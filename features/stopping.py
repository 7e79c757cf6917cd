"""How a run that is asked to stop reaches an extractor that takes long over one clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Stopped(Exception):
    """The run was asked to stop; no failure of the clip at work."""


def _never() -> None:
    """Nobody asks."""


_asked: ContextVar[Callable[[], None]] = ContextVar("asked", default=_never)


@contextmanager
def may_stop(check: Callable[[], None]) -> Iterator[None]:
    """Within the block and this thread ``check_stop`` calls ``check``, which may raise."""
    token = _asked.set(check)
    try:
        yield
    finally:
        _asked.reset(token)


def check_stop() -> None:
    """For an extractor that waits for something, now and then.

    Raises:
        Stopped: the run was asked to stop.
    """
    _asked.get()()
