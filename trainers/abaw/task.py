"""Training of the two-stream network on frames, as the loop takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from storage.batches import Batch
from trainers.abaw.augment import Augmentation, augmented
from trainers.abaw.frames import Frames, epoch_order
from trainers.abaw.losses import multi_task_loss
from trainers.abaw.pseudo import Histogram, Pseudo, completed
from trainers.abaw.samples import Samples, Seen
from trainers.abaw.scores import Threshold, criteria, decided
from trainers.ahead import ahead
from trainers.device import autocast, find_device
from trainers.loop import Schedule
from trainers.metrics import need_finite
from trainers.settings import TrainSettings

#: frames at once where no gradients are kept
INFERENCE_BATCH = 64
#: side of the faces as they are stored
SIDE = 112
#: of red, green, blue and mask, 0..1 (the authors' code: Kinetics-400's, and their own for masks)
MEAN = (0.43216, 0.394666, 0.37645, 0.5)
STD = (0.22803, 0.22145, 0.216989, 0.225)
FACES, MASKS, MAPS = "faces", "masks", "maps"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ways:
    """How frames are shown to the network, and what is asked of it.

    Attributes:
        expressions: how many; they are the network's first outputs.
        pseudo: labels that are made of others; augmentation: None changes nothing.
        side: faces are brought to it by averaging squares.
        bands_first: maps are 64 x 1001, as in the authors' code.
        epoch_frames: frames of an epoch; threads: of reading.
    """

    expressions: int
    pseudo: Pseudo
    augmentation: Augmentation | None
    side: int
    bands_first: bool
    ccc_divide: bool
    threshold: Threshold
    epoch_frames: int
    threads: int


class AbawTask:
    """A task of the loop: three tasks at once.

    Args:
        model: takes clips ``(n, channels, frames, h, w)`` and maps ``(n, 1, …)``.
        val: frames that are scored after each epoch; None scores nothing, and the last epoch is
            the best one.
        steps: of the optimizer in all; None goes on for the settings' epochs.
    """

    def __init__(
        self,
        model: nn.Module,
        train: tuple[Samples, Frames],
        val: tuple[Samples, Frames] | None,
        settings: TrainSettings,
        ways: Ways,
        steps: int | None = None,
    ) -> None:
        self._model, self._settings, self._ways = model, settings, ways
        self._samples, self._frames = train
        self._val, self._steps = val, steps
        self._epochs_done = 0
        self.histogram = Histogram(self._frames.labels, ways.expressions)

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self._model

    @property
    def monitor(self) -> str:
        """The mean criterion; without validation, how far it has come."""
        return "score" if self._val is not None else "step"

    def optimizer(self) -> tuple[torch.optim.Optimizer, Schedule | None]:
        """Adam, at one rate to the end."""
        return torch.optim.Adam(self._model.parameters(), lr=self._settings.lr), None

    def batch_count(self) -> int:
        """Batches of a whole epoch."""
        return -(-self._ways.epoch_frames // self._settings.batch)

    def batches(self, epoch: int) -> Iterable[Batch]:
        """Frames in random order, changed and completed anew at each visit."""
        self._epochs_done = epoch + 1
        size, seed = self._ways.epoch_frames, self._settings.seed
        order = epoch_order(len(self._frames), size, seed, epoch)
        if self._steps is not None:
            left = self._steps - epoch * steps_of(size, self._settings)
            order = order[: left * self._settings.batch * self._settings.accumulate]
        # one frame alone has no variance to learn from
        parts = [(i, p) for i, p in enumerate(_cut(order, self._settings.batch)) if len(p) > 1]

        def make(part: tuple[int, Ints]) -> Batch:
            number, chosen = part
            return self._batch(chosen, np.random.default_rng([seed, epoch, number]))

        return ahead(make, parts, self._ways.threads)

    def forward(self, batch: Batch) -> Tensor:
        """``(n, outputs)``, raw."""
        output: Tensor = self._model(*inputs_of(batch.values, self._ways))
        return output

    def weight(self, batch: Batch) -> float:
        """Frames of a part of a step; each of the three losses is over what these have labelled."""
        return float(len(batch.clips))

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Of all three tasks."""
        labels = batch.labels
        return multi_task_loss(
            output,
            labels["shares"],
            labels["va"],
            labels["units"],
            ccc_divide=self._ways.ccc_divide,
        )

    def validate(self) -> dict[str, float]:
        """The criteria of the validation frames; without them, epochs that are done."""
        if self._val is None:
            return {"step": float(self._epochs_done)}
        samples, frames = self._val
        device = find_device(self._settings.device)
        return score_frames(
            self._model, samples, frames, self._ways, device, self._settings.precision
        )

    def _batch(self, chosen: Ints, rng: np.random.Generator) -> Batch:
        frames = self._frames
        clips, rows = frames.clips[chosen], frames.rows[chosen]
        seen = self._samples.read(clips, rows)
        if self._ways.augmentation is not None:
            seen = augmented(seen, self._ways.augmentation, rng)
        labels = frames.labels.take(chosen)
        va, shares = completed(labels, self.histogram, self._ways.pseudo, rng)
        made = {"va": va, "shares": shares, "units": labels.units}
        return Batch(
            values=tensors_of(seen),
            valid={},
            mask=torch.ones(len(chosen), 1, dtype=torch.bool),
            labels={name: torch.from_numpy(values) for name, values in made.items()},
            labelled={},
            clips=clips,
            starts=rows,
        )


def steps_of(frames: int, settings: TrainSettings) -> int:
    """Steps of the optimizer that an epoch of so many frames takes."""
    return -(-frames // (settings.batch * settings.accumulate))


def tensors_of(seen: Seen) -> dict[str, Tensor]:
    """What was read, by name."""
    named = {FACES: seen.faces, MASKS: seen.masks, MAPS: seen.maps}
    return {name: torch.from_numpy(values) for name, values in named.items() if values is not None}


def inputs_of(values: Mapping[str, Tensor], ways: Ways) -> tuple[Tensor | None, Tensor | None]:
    """What the network takes: clips ``(n, 3 or 4, frames, side, side)``, maps ``(n, 1, …)``."""
    clips = maps = None
    if FACES in values:
        clips = values[FACES].permute(0, 4, 1, 2, 3)
        if MASKS in values:
            clips = torch.cat([clips, values[MASKS][:, None]], 1)
        shape = (1, clips.shape[1], 1, 1, 1)
        mean, std = (
            clips.new_tensor(x[: clips.shape[1]], dtype=torch.float32).view(shape)
            for x in (MEAN, STD)
        )
        clips = (clips.float() / 255 - mean) / std
        if ways.side != SIDE:
            clips = functional.avg_pool3d(clips, (1, SIDE // ways.side, SIDE // ways.side))
    if MAPS in values:
        maps = values[MAPS].transpose(1, 2) if ways.bands_first else values[MAPS]
        maps = maps[:, None]
    return clips, maps


def outputs_of(
    model: nn.Module,
    samples: Samples,
    clips: Ints,
    rows: Ints,
    ways: Ways,
    device: torch.device,
    precision: str,
) -> NDArray[np.float32]:
    """``(frames, outputs)`` of those frames, in their order."""
    model = model.to(device).eval()
    parts = list(_cut(np.arange(len(clips)), INFERENCE_BATCH))
    read = ahead(lambda part: samples.read(clips[part], rows[part]), parts, ways.threads)
    found = []
    with torch.inference_mode():
        for seen in read:
            values = {name: t.to(device) for name, t in tensors_of(seen).items()}
            with autocast(device, precision):
                output = model(*inputs_of(values, ways))
            found.append(output.float().cpu().numpy())
    return np.concatenate(found)


def score_frames(
    model: nn.Module,
    samples: Samples,
    frames: Frames,
    ways: Ways,
    device: torch.device,
    precision: str,
) -> dict[str, float]:
    """The criteria over labelled frames of all clips, concatenated.

    Raises:
        MetricError: the network's outputs aren't numbers.
    """
    output = outputs_of(model, samples, frames.clips, frames.rows, ways, device, precision)
    need_finite(output, "prediction")
    found = decided(output, ways.expressions, ways.threshold)
    return criteria(found, frames.labels, ways.expressions)


def _cut(order: Ints, size: int) -> Iterator[Ints]:
    for at in range(0, len(order), size):
        yield order[at : at + size]
