"""Progress of a run: a bar with rate and time left on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.progress import Progress as Bars
from rich.progress import TaskID, TextColumn

from flows.cli.counting import LINE_EVERY, bars_with
from flows.cli.options import count, duration, err
from flows.execute import Results
from flows.partition import ALL, ClipWork, Partition
from flows.summary import Progress


@dataclass
class Count:
    """How far a stage is.

    Attributes:
        clips, seconds: how many there are, and seconds of media in them.
        done, media: how many of them are done; share, part: of the clip at work, how much is.
    """

    name: str
    clips: int
    seconds: float
    done: int = 0
    media: float = 0.0
    share: float = 0.0
    part: float = 0.0
    started: float = field(default_factory=time.monotonic)
    told: set[tuple[str, str]] = field(default_factory=set)

    @property
    def rate(self) -> float:
        """Media seconds per second so far."""
        return (self.media + self.part) / max(time.monotonic() - self.started, 1e-6)


class Counted(Progress):
    """Counts clips and media seconds of each stage as they are done, each clip once."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def stage(self, stage: str, clips: int, seconds: float) -> None:
        """Note how much there is."""
        name = "extract" if stage == ALL else f"extract, {stage}"
        self._counts[stage] = Count(name, clips, seconds)

    def clip(self, work: ClipWork, share: float) -> None:
        """Count a clip that is executed in one go, or the part of it that is done."""
        so_far = self._counts[ALL]
        if share >= 1:
            self._count(ALL, work)
        elif work.key not in so_far.told and share > so_far.share:
            so_far.share, so_far.part = share, share * work.duration
            self.show(ALL, so_far)

    def stopping(self) -> None:
        """Say what a person who pressed Ctrl-C can expect."""
        self.say("stopping after this batch of frames; Ctrl-C again stops at once")

    def say(self, text: str) -> None:
        """A line beside the counts."""
        err.print(text, soft_wrap=True)

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
            so_far.media += work.duration
            so_far.share = so_far.part = 0.0
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
        left = max(0.0, so_far.seconds - so_far.media - so_far.part) / max(so_far.rate, 1e-6)
        err.print(
            f"{so_far.name}: {so_far.done}/{so_far.clips} clips, {so_far.rate:.2f} x real time, "
            f"{duration(left)} left"
        )

    def lost(self, partition: Partition, reason: str) -> None:
        """Say at once what failed."""
        self.say(f"extract: lost {reason}")


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
        self._bars.update(self._tasks[stage], completed=so_far.done + so_far.share, rate=rate)

    def lost(self, partition: Partition, reason: str) -> None:
        """Say at once what failed."""
        self.say(f"lost {reason}")

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, soft_wrap=True)


@contextmanager
def console_progress(quiet: bool = False) -> Iterator[Progress]:
    """The progress that fits standard error: a bar, lines, or nothing."""
    if quiet:
        yield Progress()
    elif not err.is_terminal:
        yield Lines()
    else:
        with bars_with(TextColumn("clips, {task.fields[rate]}", markup=False)) as bars:
            yield Bar(bars)
