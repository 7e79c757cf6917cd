"""Progress of upkeep: a bar on a terminal, plain lines in a log; imports no more than rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.cli.options import err

#: seconds between two plain lines
LINE_EVERY = 5.0

#: called with how many are done, of how many
Tell = Callable[[int, int], None]


def bars_with(*more: ProgressColumn) -> Progress:
    """Bars on standard error: what, how far, ``more``, how long."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )


@contextmanager
def counting(name: str, things: str, quiet: bool = False) -> Iterator[Tell]:
    """What upkeep tells on standard error while it goes on: a bar, lines now and then, or nothing.

    Args:
        name: the work; things: what is counted.
    """
    if quiet:
        yield lambda done, of: None
    elif not err.is_terminal:
        last = time.monotonic()

        def line(done: int, of: int) -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_EVERY:
                last = time.monotonic()
                err.print(f"{name}: {done:,}/{of:,} {things}")

        yield line
    else:
        with bars_with(TextColumn(things, markup=False)) as bars:
            task: TaskID | None = None

            def move(done: int, of: int) -> None:
                nonlocal task
                task = bars.add_task(name, total=of) if task is None else task
                bars.update(task, completed=done)

            yield move
