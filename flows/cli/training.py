"""How a training's progress is shown: a bar with loss and metrics, or a line per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from flows.cli.options import err
from trainers.loop import Progress

#: not shown: they tell about the machine
HIDDEN = ("epoch", "seconds", "data_seconds", "loss")


class Lines(Progress):
    """A line per epoch, where standard error is no terminal."""

    def say(self, line: str) -> None:
        """Print it."""
        err.print(line, soft_wrap=True, markup=False)

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        """Print its numbers."""
        self.say(_shown(entry))


class Notes(Progress):
    """Keeps what is said.

    Attributes:
        lines: in order.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)


class Bars(Progress):
    """A bar of the epoch's batches."""

    def __init__(self) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            console=err,
        )
        self._task = self._rich.add_task("training", total=None, shown="")
        self._metrics = ""

    def __enter__(self) -> Bars:
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rich.stop()

    def say(self, line: str) -> None:
        """Print it above the bar."""
        self._rich.console.print(line, soft_wrap=True, markup=False)

    def epoch(self, epoch: int, epochs: int, batches: int) -> None:
        """A new bar."""
        self._rich.reset(self._task, total=batches, description=f"epoch {epoch}/{epochs}")
        self._rich.update(self._task, shown=self._metrics)

    def batch(self, loss: float) -> None:
        """Move on."""
        self._rich.update(self._task, advance=1, shown=f"loss {loss:.4f} {self._metrics}")

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        """Keep the metrics beside the bar."""
        self._metrics = " ".join(f"{k} {v:.3f}" for k, v in entry.items() if k not in HIDDEN)


def _shown(entry: Mapping[str, float]) -> str:
    loss = f"loss {entry['loss']:.4f} " if "loss" in entry else ""
    metrics = " ".join(f"{k} {v:.3f}" for k, v in entry.items() if k not in HIDDEN)
    seconds = f" ({entry['seconds']:.1f} s)" if "seconds" in entry else ""
    return f"epoch {entry['epoch']:.0f}: {loss}{metrics}{seconds}"
