"""How whoever watches a run learns how far a pass over a clip's video is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: called with the seconds of the clip whose frames are done
Seen = Callable[[float], None]


def _nobody(seconds: float) -> None:
    """Nobody watches."""


_seen: ContextVar[Seen] = ContextVar("seen", default=_nobody)


@contextmanager
def watched(seen: Seen) -> Iterator[None]:
    """Within the block and this thread ``tell`` calls ``seen``."""
    token = _seen.set(seen)
    try:
        yield
    finally:
        _seen.reset(token)


def tell(seconds: float) -> None:
    """A pass over a video has come so far, counted from the clip's first frame."""
    _seen.get()(seconds)
