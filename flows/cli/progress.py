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

from flows.cli.options import count, duration, err
from flows.execute import Results
from flows.partition import ClipWork, Partition
from flows.plan import Plan
from flows.summary import Progress

#: seconds between two plain lines
LINE_EVERY = 5.0


class Counted(Progress):
    """Counts clips and media seconds as they are done, each clip once."""

    def __init__(self) -> None:
        self._clips = self._done = 0
        self._seconds = self._media = 0.0
        self._started = time.monotonic()
        self._told: set[tuple[str, str]] = set()

    def plan(self, plan: Plan, clips: int, seconds: float) -> None:
        """Note how much there is."""
        self._clips, self._seconds = clips, seconds
        self._started = time.monotonic()

    def clip(self, work: ClipWork) -> None:
        """Count a clip."""
        if (work.corpus, work.clip) not in self._told:
            self._told.add((work.corpus, work.clip))
            self._done += 1
            self._media += work.seconds
            self.show()

    def partition(self, partition: Partition, results: Results) -> None:
        """Count a partition's clips, as far as they aren't counted yet."""
        if not results.interrupted:
            for work in partition.clips:
                self.clip(work)

    @property
    def rate(self) -> float:
        """Media seconds per second so far."""
        return self._media / max(time.monotonic() - self._started, 1e-6)

    def show(self) -> None:
        """Tell how far it is."""


class Lines(Counted):
    """Plain lines for logs, at most one every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._printed = time.monotonic()

    def plan(self, plan: Plan, clips: int, seconds: float) -> None:
        """Say what is about to start."""
        super().plan(plan, clips, seconds)
        err.print(f"extract: {count(clips, 'clip')}, {duration(seconds)} of media")

    def show(self) -> None:
        """A line, unless the last one is fresh."""
        now = time.monotonic()
        if now - self._printed < LINE_EVERY and self._done < self._clips:
            return
        self._printed = now
        left = max(0.0, self._seconds - self._media) / max(self.rate, 1e-6)
        err.print(
            f"extract: {self._done}/{self._clips} clips, {self.rate:.2f} x real time, "
            f"{duration(left)} left"
        )

    def lost(self, partition: Partition, reason: str) -> None:
        """Say at once what failed."""
        err.print(f"extract: lost {reason}", soft_wrap=True)


class Bar(Counted):
    """One line with a bar, for a terminal."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars
        self._task: TaskID | None = None

    def plan(self, plan: Plan, clips: int, seconds: float) -> None:
        """Open the bar."""
        super().plan(plan, clips, seconds)
        self._task = self._bars.add_task("extract", total=clips, rate="")

    def show(self) -> None:
        """Move the bar."""
        if self._task is not None:
            rate = f"{self.rate:.2f} x real time"
            self._bars.update(self._task, completed=self._done, rate=rate)

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
