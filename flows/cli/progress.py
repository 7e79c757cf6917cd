"""Progress of a run: a bar with rate and time left on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
from flows.partition import ALL, ClipWork, Partition
from flows.summary import Progress

#: seconds between two plain lines
LINE_EVERY = 5.0


@dataclass
class Count:
    """How far a stage is: clips and media seconds, of how many."""

    name: str
    clips: int
    seconds: float
    done: int = 0
    media: float = 0.0
    started: float = field(default_factory=time.monotonic)
    told: set[tuple[str, str]] = field(default_factory=set)

    @property
    def rate(self) -> float:
        """Media seconds per second so far."""
        return self.media / max(time.monotonic() - self.started, 1e-6)


class Counted(Progress):
    """Counts clips and media seconds of each stage as they are done, each clip once."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def stage(self, stage: str, clips: int, seconds: float) -> None:
        """Note how much there is."""
        name = "extract" if stage == ALL else f"extract, {stage}"
        self._counts[stage] = Count(name, clips, seconds)

    def clip(self, work: ClipWork) -> None:
        """Count a clip that is executed in one go."""
        self._count(ALL, work)

    def partition(self, partition: Partition, results: Results) -> None:
        """Count a partition's clips, as far as they aren't counted yet."""
        if not results.interrupted:
            for work in partition.clips:
                self._count(partition.stage, work)

    def _count(self, stage: str, work: ClipWork) -> None:
        so_far = self._counts[stage]
        if work.key not in so_far.told:
            so_far.told.add(work.key)
            so_far.done += 1
            so_far.media += work.seconds
            self.show(stage, so_far)

    def show(self, stage: str, so_far: Count) -> None:
        """Tell how far a stage is."""


class Lines(Counted):
    """Plain lines for logs, per stage at most one every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._printed: dict[str, float] = {}

    def stage(self, stage: str, clips: int, seconds: float) -> None:
        """Say what is about to start."""
        super().stage(stage, clips, seconds)
        self._printed[stage] = time.monotonic()
        told = count(clips, "clip")
        err.print(f"{self._counts[stage].name}: {told}, {duration(seconds)} of media")

    def show(self, stage: str, so_far: Count) -> None:
        """A line, unless the last one is fresh."""
        now = time.monotonic()
        if now - self._printed[stage] < LINE_EVERY and so_far.done < so_far.clips:
            return
        self._printed[stage] = now
        left = max(0.0, so_far.seconds - so_far.media) / max(so_far.rate, 1e-6)
        err.print(
            f"{so_far.name}: {so_far.done}/{so_far.clips} clips, {so_far.rate:.2f} x real time, "
            f"{duration(left)} left"
        )

    def lost(self, partition: Partition, reason: str) -> None:
        """Say at once what failed."""
        err.print(f"extract: lost {reason}", soft_wrap=True)


class Bar(Counted):
    """A line with a bar per stage, for a terminal."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def stage(self, stage: str, clips: int, seconds: float) -> None:
        """Open the stage's bar."""
        super().stage(stage, clips, seconds)
        name = self._counts[stage].name
        self._tasks[stage] = self._bars.add_task(name, total=clips, rate="")

    def show(self, stage: str, so_far: Count) -> None:
        """Move the bar."""
        rate = f"{so_far.rate:.2f} x real time"
        self._bars.update(self._tasks[stage], completed=so_far.done, rate=rate)

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
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips, {task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
        ) as bars:
            yield Bar(bars)
