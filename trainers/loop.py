"""The training loop that every neural recipe shares."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from storage.batches import Batch
from trainers import checkpoint
from trainers.checkpoint import State, Tensors
from trainers.device import autocast, find_device, need_precision
from trainers.errors import Diverged, GpuFull
from trainers.metrics import MetricError
from trainers.settings import TrainSettings
from trainers.tensorboard import Logs

#: what to do about a training that led to no numbers
CALMER = "try a lower train.lr, train.clip_norm=1, or train.precision=fp32"


class Schedule(Protocol):
    """What moves the learning rate: torch's schedulers do."""

    def step(self) -> None:
        """One epoch is done."""

    def state_dict(self) -> dict[str, Any]:
        """Numbers only."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take them back."""


class Task(Protocol):
    """What a recipe gives the loop."""

    @property
    def model(self) -> nn.Module:
        """Its weights are trained, and kept in checkpoints with its buffers."""

    def optimizer(self) -> tuple[torch.optim.Optimizer, Schedule | None]:
        """New ones for the model's weights."""

    def batches(self, epoch: int) -> Iterable[Batch]:
        """One epoch, in an order that follows from seed and epoch alone."""

    def batch_count(self) -> int:
        """Batches of an epoch."""

    def forward(self, batch: Batch) -> torch.Tensor:
        """The model's output; runs under autocast."""

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """A scalar, in float32."""

    def validate(self) -> dict[str, float]:
        """Metrics of the validation split; ``monitor`` names the one to raise, if any."""

    @property
    def monitor(self) -> str:
        """Name of the metric that chooses the best epoch; more is better. "": the last epoch."""


@runtime_checkable
class Streaming(Protocol):
    """A task whose order of batches depends on whether its rows are streamed."""

    @property
    def streamed(self) -> bool:
        """Whether they are."""

    def stream(self, streamed: bool) -> None:
        """Read rows in that way from now on."""


@runtime_checkable
class Weighing(Protocol):
    """A task whose loss is a mean over rows, of which batches may have unequally many."""

    def weight(self, batch: Batch) -> float:
        """How many rows the batch's loss is a mean over."""


class Progress:
    """What a training tells while it runs; the default says nothing."""

    def say(self, line: str) -> None:
        """Something the person should know."""

    def epoch(self, epoch: int, epochs: int, batches: int) -> None:
        """An epoch begins."""

    def batch(self, loss: float) -> None:
        """A batch is done."""

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        """An epoch is done: loss, seconds, metrics."""


def fit(task: Task, settings: TrainSettings, folder: Path, progress: Progress) -> State:
    """Train to the end, or go on from the newest checkpoint in ``folder``.

    A run that was killed and goes on gives, on a CPU with as many threads, the same weights as
    one that was never stopped. Afterwards the model has its best epoch's weights.

    Raises:
        Diverged: a loss isn't finite. CheckpointDamaged: no checkpoint in ``folder`` is sound.
        GpuFull: the GPU's memory doesn't suffice. WrongTrainDevice: it isn't there, or doesn't
            compute in the settings' precision.
    """
    device = find_device(settings.device)
    need_precision(device, settings.precision)
    # who asks for the CPU needs nothing of a card that others may fill
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        try:
            return _Fit(task, settings, folder, progress).run()
        except torch.OutOfMemoryError as error:
            raise GpuFull(
                f"the GPU's memory doesn't suffice ({str(error).splitlines()[0]}); try a lower "
                "train.batch with a higher train.accumulate, train.load=ram, or train.device=cpu"
            ) from error


class _Fit:
    def __init__(
        self, task: Task, settings: TrainSettings, folder: Path, progress: Progress
    ) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self.progress = progress
        self.device = find_device(settings.device)
        self.logs = Logs(folder.parent / "tensorboard" if settings.tensorboard else None)
        torch.manual_seed(settings.seed + 1)
        self.model = task.model.to(self.device)
        self.made, self.schedule = task.optimizer()
        self.state = State()

    def run(self) -> State:
        found = checkpoint.newest(self.folder, self.progress.say)
        if found is not None:
            self._restore(*found)
            if not self.state.finished:
                self.progress.say(f"going on after epoch {self.state.epoch}")
        while not self.state.finished:
            self._epoch()
            tensors, self.state.scalars = self._held()
            checkpoint.write(self.folder, self.state, tensors)
        if self.state.best_epoch not in (0, self.state.epoch):
            _, tensors = checkpoint.read(self.folder, self.state.best_epoch)
            self.model.load_state_dict(_under("model.", tensors))
        self.logs.close()
        return self.state

    def _epoch(self) -> None:
        state, settings = self.state, self.settings
        began = time.perf_counter()
        self.progress.epoch(state.epoch + 1, settings.epochs, self.task.batch_count())
        self.model.train()
        total, count, waited = 0.0, 0, 0.0
        batches = iter(self.task.batches(state.epoch))
        while True:
            asked = time.perf_counter()
            group = list(islice(batches, settings.accumulate))
            waited += time.perf_counter() - asked
            if not group:
                break
            for loss in self._step(group):
                total, count = total + loss, count + 1
                self.progress.batch(loss)
        if self.schedule is not None:
            self.schedule.step()
        self._need_finite()
        metrics = self._validated()
        state.epoch += 1
        entry = {
            "epoch": state.epoch,
            "loss": total / max(count, 1),
            "seconds": time.perf_counter() - began,
            "data_seconds": waited,
            **metrics,
        }
        state.history.append(entry)
        # a control's last epoch counts: one that the true labels choose has been told something
        chosen = self.task.monitor and not settings.shuffle_labels
        better = metrics[self.task.monitor] if chosen else float(state.epoch)
        if state.best_epoch == 0 or better > state.best:
            # an undefined metric must not stay the best one
            state.best_epoch, state.best = state.epoch, better if better == better else -math.inf
        stale = state.epoch - state.best_epoch
        stopped = bool(settings.patience) and stale >= settings.patience
        state.finished = stopped or state.epoch >= settings.epochs
        self.logs.write(entry)
        self.progress.epoch_done(entry)

    def _need_finite(self) -> None:
        """The last step of an epoch may have led astray, and no loss after it tells."""
        sound = [torch.isfinite(tensor).all() for tensor in self.model.parameters()]
        if not bool(torch.stack(sound).all()):
            raise Diverged(
                f"after epoch {self.state.epoch + 1} the network's weights aren't numbers; {CALMER}"
            )

    def _validated(self) -> dict[str, float]:
        try:
            return self.task.validate()
        except MetricError as error:
            # weights may be numbers whose answers are none
            raise Diverged(
                f"the network can't be scored after epoch {self.state.epoch + 1} ({error}); "
                f"{CALMER}"
            ) from error

    def _step(self, group: list[Batch]) -> Iterator[float]:
        """One step of the optimizer over the batches of a group; each batch's loss."""
        self.made.zero_grad(set_to_none=True)
        for batch, share in zip(group, self._shares(group), strict=True):
            moved = batch.to(self.device)
            with autocast(self.device, self.settings.precision):
                output = self.task.forward(moved)
            loss = self.task.loss(output.float(), moved)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise Diverged(f"the loss became {value} in epoch {self.state.epoch + 1}; {CALMER}")
            (loss * share).backward()  # type: ignore[no-untyped-call]
            yield value
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.made.step()

    def _shares(self, group: list[Batch]) -> list[float]:
        """What part each batch's loss has in a step, so that a mean is that of all their rows."""
        rows = [1.0] * len(group)
        if len(group) > 1 and isinstance(self.task, Weighing):
            rows = [self.task.weight(batch) for batch in group]
        total = sum(rows)
        return [count / total for count in rows] if total else [0.0] * len(group)

    def _held(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything that a checkpoint keeps, as tensors and JSON."""
        held, scalars = checkpoint.pack_optimizer(self.made)
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in held.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        schedule = self.schedule.state_dict() if self.schedule is not None else {}
        held_scalars: dict[str, Any] = {"optimizer": scalars, "schedule": schedule}
        if isinstance(self.task, Streaming):
            held_scalars["streamed"] = self.task.streamed
        return tensors, held_scalars

    def _restore(self, state: State, tensors: Tensors) -> None:
        self.state = state
        self.model.load_state_dict(_under("model.", tensors))
        checkpoint.unpack_optimizer(
            self.made, _under("optimizer.", tensors), state.scalars["optimizer"]
        )
        if self.schedule is not None:
            self.schedule.load_state_dict(state.scalars["schedule"])
        streamed = state.scalars.get("streamed")
        if isinstance(self.task, Streaming) and streamed not in (None, self.task.streamed):
            self.task.stream(streamed)
            how = "streamed" if streamed else "kept in memory"
            self.progress.say(f"rows are {how}, as when the training began: their order counts")
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
