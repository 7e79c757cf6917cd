"""Progress of a run: a bar with rate and time left on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from flows.cli.options import duration, err
from flows.execute import Results
from flows.partition import Partition
from flows.plan import Plan
from flows.summary import Progress

#: seconds between two plain lines
LINE_EVERY = 5.0


class Lines(Progress):
    """Plain lines for logs, at most one every few seconds."""

    def __init__(self) -> None:
        self._clips = self._done = 0
        self._seconds = self._media = 0.0
        self._started = self._printed = time.monotonic()

    def plan(self, plan: Plan, clips: int, seconds: float) -> None:
        """Say what is about to start."""
        self._clips, self._seconds = clips, seconds
        self._started = time.monotonic()
        err.print(f"extract: {clips} clips, {duration(seconds)} of media")

    def partition(self, partition: Partition, results: Results) -> None:
        """Say how far it is."""
        self._done += results.clips
        self._media += partition.seconds
        now = time.monotonic()
        if now - self._printed < LINE_EVERY and self._done < self._clips:
            return
        self._printed = now
        spent = max(now - self._started, 1e-6)
        rate = self._media / spent
        left = (self._seconds - self._media) / rate if rate else 0.0
        err.print(
            f"extract: {self._done}/{self._clips} clips, {rate:.2f} x real time, "
            f"{duration(max(0.0, left))} left"
        )

    def lost(self, partition: Partition, reason: str) -> None:
        """Say at once what failed."""
        err.print(f"extract: lost {reason}", soft_wrap=True)


class Bar(Progress):
    """One line with a bar, for a terminal."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._started = 0.0
        self._media = 0.0

    def plan(self, plan: Plan, clips: int, seconds: float) -> None:
        """Open the bar."""
        self._started = time.monotonic()
        self._task = self._bars.add_task("extract", total=clips, rate="")

    def partition(self, partition: Partition, results: Results) -> None:
        """Move the bar."""
        self._media += partition.seconds
        spent = max(time.monotonic() - self._started, 1e-6)
        if self._task is not None:
            rate = f"{self._media / spent:.2f} x real time"
            self._bars.update(self._task, advance=results.clips, rate=rate)

    def lost(self, partition: Partition, reason: str) -> None:
        """Say at once what failed."""
        self._bars.console.print(f"lost {reason}", soft_wrap=True)


@contextmanager
def console_progress(quiet: bool = False) -> Iterator[Progress]:
    """The progress that fits standard error: a bar, lines, or nothing."""
    if quiet:
        yield Progress()
    elif not err.is_terminal:
        yield Lines()
    else:
        with Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips, {task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
        ) as bars:
            yield Bar(bars)
