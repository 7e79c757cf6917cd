"""Values per frame from windows: training, pooled CCC, predictions averaged where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from storage.batches import Batch, Windows
from storage.clips import LABEL
from storage.selection import Selection
from storage.statistics import feature_statistics
from trainers.device import autocast
from trainers.errors import NothingToTrain
from trainers.loop import Schedule
from trainers.metrics import Scored, ccc_of, pooled
from trainers.settings import TrainSettings
from trainers.targets import need_numbers

#: windows at once where no gradients are kept
INFERENCE_BATCH = 256


@dataclass(frozen=True, eq=False)
class FrameScores:
    """Predictions of one clip: ``(rows, columns)``, and whether any window reached the row."""

    corpus: str
    clip: str
    values: NDArray[np.float64]
    reached: NDArray[np.bool_]


class WindowTask:
    """What tasks of the loop that learn from windows have in common.

    Args:
        optimizer: makes the optimizer (and schedule) of the model.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Windows,
        val: Windows,
        settings: TrainSettings,
        optimizer: Callable[[nn.Module], tuple[torch.optim.Optimizer, Schedule | None]],
    ) -> None:
        self._model, self._train, self._val = model, train, val
        self._settings, self._optimizer = settings, optimizer

    @property
    def model(self) -> nn.Module:
        """The network with its scaling."""
        return self._model

    def optimizer(self) -> tuple[torch.optim.Optimizer, Schedule | None]:
        """As the recipe wants it."""
        return self._optimizer(self._model)

    def batches(self, epoch: int) -> Iterable[Batch]:
        """Shuffled windows."""
        s = self._settings
        return self._train.batches(s.batch, shuffle=True, seed=s.seed, epoch=epoch)

    def batch_count(self) -> int:
        """Batches of an epoch."""
        return -(-len(self._train) // self._settings.batch)

    @property
    def streamed(self) -> bool:
        """Whether windows are shuffled by parts and a buffer."""
        return self._train.loading.mode == "stream"

    def stream(self, streamed: bool) -> None:
        """Shuffle the windows so, or entirely, from now on."""
        self._train.stream(streamed)


class FrameRegression(WindowTask):
    """A task of the loop: several values per frame by mean squared error on labelled frames.

    Args:
        model: takes feature -> ``(windows, length, …)`` and a mask, gives
            ``(windows, length, labels)``.
        labels: names of the columns.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Windows,
        val: Windows,
        labels: Sequence[str],
        settings: TrainSettings,
        optimizer: Callable[[nn.Module], tuple[torch.optim.Optimizer, Schedule | None]],
    ) -> None:
        super().__init__(model, train, val, settings, optimizer)
        self._labels = tuple(labels)

    @property
    def monitor(self) -> str:
        """Mean CCC."""
        return "ccc_mean"

    def forward(self, batch: Batch) -> torch.Tensor:
        """``(windows, length, labels)``."""
        out: torch.Tensor = self._model(batch.values, batch.mask)
        return out

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean squared error over labelled values; 0 without any."""
        wanted, known = stacked(batch, self._labels)
        wanted = torch.where(known, wanted, 0.0)
        squared = (output - wanted).square() * known
        return squared.sum() / known.sum().clamp(min=1)

    def weight(self, batch: Batch) -> float:
        """Labelled values."""
        return float(stacked(batch, self._labels)[1].sum())

    def validate(self) -> dict[str, float]:
        """CCC of each label and their mean."""
        return score_frames(self._model, self._val, self._labels, self._settings.precision)


def need_labels(windows: Windows, labels: Sequence[str], split: str) -> None:
    """There is something to learn, or to score.

    Raises:
        NothingToTrain: a label is known of no frame and of no clip of the windows, or is text.
    """
    selection = windows.selection
    need_numbers(selection, labels)
    for name in labels:
        if name in selection.frame_labels:
            known = any(clip.results[LABEL + name].valid_share > 0 for clip in selection.clips)
        else:
            known = any(clip.labels[name] is not None for clip in selection.clips)
        if not known:
            raise NothingToTrain(
                f"nothing of {split} has the label {name}: ingest its labels, or choose another "
                "split"
            )


def out_of_reach(selection: Selection, labels: Sequence[str]) -> list[str]:
    """A note on each label that a network whose outputs are -1..1 can't reach.

    Each of them is known somewhere.
    """
    notes = []
    for name in labels:
        if name in selection.frame_labels:
            found = feature_statistics(selection, LABEL + name)
            low, high = float(found.min), float(found.max)
        else:
            values, known = selection.clip_label(name)
            given = values[known].astype(np.float64)
            low, high = float(given.min()), float(given.max())
        if low < -1 or high > 1:
            notes.append(
                f"{name} is labelled {low:g} to {high:g}, and the network answers -1 to 1: scale "
                "the labels, or leave the cell of what isn't known empty (no -5), and ingest again"
            )
    return notes


def stacked(batch: Batch, labels: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels ``(windows, length, columns)`` as float32, and where they are known."""
    length = batch.mask.shape[1]

    def per_frame(values: torch.Tensor) -> torch.Tensor:
        return values if values.ndim == 2 else values[:, None].expand(-1, length)

    values = torch.stack([per_frame(batch.labels[n]).float() for n in labels], -1)
    known = torch.stack([per_frame(batch.labelled[n]) for n in labels], -1)
    return values, known & batch.mask[..., None] & torch.isfinite(values)


@dataclass(frozen=True, eq=False)
class FrameLine:
    """Predictions of each clip, and the labels of all their rows, one clip after the other.

    Attributes:
        truth: float64 ``(rows, labels)``; known: bool of that shape, where it is labelled.
    """

    clips: tuple[FrameScores, ...]
    truth: NDArray[np.float64]
    known: NDArray[np.bool_]


def predict_frames(
    model: nn.Module,
    windows: Windows,
    columns: int,
    precision: str = "fp32",
    labels: Sequence[str] = (),
) -> FrameLine:
    """The model's output per frame, averaged over the windows that reach it.

    Args:
        labels: collected on the same pass.
    """
    rows = windows.rows.rows
    bases = np.cumsum(rows) - rows
    total = np.zeros((int(rows.sum()), columns))
    count = np.zeros(len(total), np.int64)
    truth = np.zeros((len(total), len(labels)))
    known = np.zeros(truth.shape, bool)
    device = windows.device
    model = model.to(device).eval()
    with torch.inference_mode():
        for batch in windows.batches(INFERENCE_BATCH):
            with autocast(device, precision):
                output = model(batch.values, batch.mask)
            found, mask = output.double().cpu().numpy(), batch.mask.cpu().numpy()
            line = ((bases[batch.clips] + batch.starts)[:, None] + np.arange(mask.shape[1]))[mask]
            np.add.at(total, line, found[mask])
            np.add.at(count, line, 1)
            if labels:
                values, valid = stacked(batch, labels)
                truth[line] = values.double().cpu().numpy()[mask]
                known[line] = valid.cpu().numpy()[mask]
    mean = total / np.maximum(count, 1)[:, None]
    scores = tuple(
        FrameScores(clip.corpus, clip.clip, mean[base : base + n], count[base : base + n] > 0)
        for clip, base, n in zip(
            windows.selection.clips, bases.tolist(), rows.tolist(), strict=True
        )
    )
    return FrameLine(scores, truth, known)


def score_frames(
    model: nn.Module, windows: Windows, labels: Sequence[str], precision: str = "fp32"
) -> dict[str, float]:
    """``ccc_<label>`` over all labelled frames of all clips, concatenated, and ``ccc_mean``."""
    line = predict_frames(model, windows, len(labels), precision, labels)
    metrics = {}
    for i, label in enumerate(labels):
        videos = {}
        start = 0
        for scores in line.clips:
            stop = start + len(scores.values)
            valid = line.known[start:stop, i] & scores.reached
            videos[f"{scores.corpus}/{scores.clip}"] = Scored(
                np.where(valid, scores.values[:, i], 0.0),
                np.where(valid, line.truth[start:stop, i], 0.0),
                valid,
            )
            start = stop
        metrics[f"ccc_{label}"] = pooled(ccc_of, videos)
    metrics["ccc_mean"] = float(np.mean(list(metrics.values())))
    return metrics
