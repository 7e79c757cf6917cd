"""What other packages offer by entry points; what can't be used is left out, and said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from multiprocessing import parent_process

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """One entry point that was loaded.

    Attributes:
        source: the entry point and its package, for messages.
        value: what it names.
    """

    source: str
    value: object


@dataclass(frozen=True)
class LeftOut:
    """One offer that isn't used.

    Attributes:
        source: the entry point and its package.
        reason: why, and what to do, in one line.
        names: names of features, extractors or weights that it would have had.
    """

    source: str
    reason: str
    names: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.source} is left out: {self.reason}"


def offers(group: str, leave_out: Callable[[LeftOut], None]) -> Iterator[Offer]:
    """What installed packages offer under a group, by name; those that don't load are left out."""
    for entry in sorted(entry_points(group=group), key=lambda e: (e.name, e.value)):
        source = _source(entry)
        try:
            yield Offer(source, entry.load())
        except (Exception, SystemExit) as error:  # a foreign module may raise anything
            reason = f"it can't be imported ({told(error)}); repair or uninstall that package"
            leave_out(LeftOut(source, reason, frozenset({entry.name})))


def told(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def say(left_out: LeftOut) -> None:
    """Say once that an offer isn't used; in the process that a person started, not its workers."""
    if parent_process() is None:
        log.warning("affectstore: %s", left_out)


def _source(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"entry point {entry.name} ({entry.value}) of package {package}"
