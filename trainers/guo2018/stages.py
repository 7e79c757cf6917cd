"""A part of guo2018 that is trained in stages, each of which goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from storage.selection import Selection, select_clips
from storage.statistics import feature_statistics
from trainers.clips import Clips, ClipTask, Sampler, predict_clips
from trainers.dims import need_dims
from trainers.errors import NothingToTrain, RunMismatch
from trainers.files import held_tensors, publish_tensors
from trainers.guo2018.optimizers import Optimizer
from trainers.guo2018.settings import of
from trainers.loop import fit
from trainers.models.scaling import ZScore
from trainers.recipe import Context
from trainers.targets import Classes

WEIGHTS = "model.safetensors"

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: a number per axis; None is any
Dims = tuple[int | None, ...]
#: of the network of the stage before (None: there is none) to the stage's network
Build = Callable[[nn.Module | None], nn.Module]


@dataclass(frozen=True)
class Stage:
    """One training of a part.

    Attributes:
        sampler: what the network sees of a clip.
        epochs: most epochs, by the number of batches in one.
        patience: epochs without a better accuracy; 0: none are too many.
    """

    name: str
    build: Build
    sampler: Sampler
    optimizer: Optimizer
    epochs: Callable[[int], int]
    patience: int


class NetworkPart(Protocol):
    """Models a, b, d and e."""

    @property
    def name(self) -> str:
        """Of the part, and of its folder."""

    @property
    def features(self) -> tuple[str, ...]:
        """What it reads; the first one has to be valid somewhere in a clip."""

    @property
    def dims(self) -> Dims:
        """Shape of the first one's rows."""

    def stages(
        self, context: Context, selection: Selection, scaling: ZScore, classes: int
    ) -> Sequence[Stage]:
        """In order.

        Args:
            selection: all clips that have the part's features.
            scaling: of the first feature, where it has columns.
        """

    def started(self, context: Context, classes: Sequence[str]) -> tuple[nn.Module | None, str]:
        """The network that the first stage builds upon, and a note of what that learned from."""


@dataclass(frozen=True)
class Fitted:
    """A part after its training.

    Attributes:
        epochs: stage -> the best one's number.
        history: of the last stage, an entry per epoch.
    """

    epochs: Mapping[str, int]
    history: Sequence[Mapping[str, float]]
    parameters: int
    notes: Sequence[str]


def train_part(
    part: NetworkPart,
    context: Context,
    folder: Path,
    splits: Sequence[str],
    names: Sequence[str],
    epochs: Mapping[str, int] | None = None,
) -> Fitted:
    """Run all stages on some splits; what is finished is not run again.

    Args:
        names: the classes.
        epochs: stage -> epochs to run, the last one's weights being kept; None: the epoch that
            scores the validation split best is kept.

    Raises:
        NothingToTrain: see ``need_clips``.
    """
    settings = of(context.settings)
    selection, learn, held, notes = need_clips(part, context, splits, val=epochs is None)
    target = Classes(settings.model.label, names)
    scaling = _scaling(part, selection, learn)
    net, note = part.started(context, names)
    notes += [note] if note else []
    found: dict[str, int] = {}
    history: Sequence[Mapping[str, float]] = []
    for number, stage in enumerate(part.stages(context, selection, scaling, len(names))):
        torch.manual_seed(settings.train.seed + 1000 * number)
        net = stage.build(net)
        train, val = (
            Clips(selection, stage.sampler, positions=chosen, mode=settings.train.mode)
            for chosen in (learn, held)
        )
        batches = -(-len(learn) // settings.train.batch)
        most = stage.epochs(batches) if epochs is None else epochs[stage.name]
        patience = stage.patience if epochs is None else 0
        own = settings.train.model_copy(update={"epochs": most, "patience": patience})
        task = ClipTask(net, train, val, target, own, stage.optimizer, keep_last=epochs is not None)
        context.progress.say(f"{part.name}: {stage.name}, {len(learn)} clips; {train.loading}")
        state = fit(task, own, folder / stage.name / "checkpoints", context.progress)
        found[stage.name], history = state.best_epoch, state.history
        notes += [f"{part.name}: {n}" for n in task.notes if f"{part.name}: {n}" not in notes]
        del task, train, val  # the next stage needs their memory
    assert net is not None
    publish_tensors(folder / WEIGHTS, net.state_dict())
    return Fitted(found, history, sum(p.numel() for p in net.parameters()), notes)


def need_clips(
    part: NetworkPart, context: Context, splits: Sequence[str], *, val: bool = True
) -> tuple[Selection, Ints, Ints, list[str]]:
    """All clips with the part's features, those to learn from and to score, and notes on others.

    Args:
        val: some are scored.

    Raises:
        NothingToTrain: no clip of a split has a valid row.
    """
    settings = of(context.settings)
    selection = _selection(part, context, (settings.model.label,))
    learn, notes = usable(part, selection, splits)
    held, _ = usable(part, selection, (settings.train.val_split,))
    if not len(learn):
        raise NothingToTrain(
            f"{part.name}: no clip of {' or '.join(splits)} has a valid row of "
            f"{part.features[0]}; leave the part out (model.parts)"
        )
    if not val:
        held = held[:0]
    elif not len(held):
        raise NothingToTrain(
            f"{part.name}: no clip of {settings.train.val_split} has a valid row of "
            f"{part.features[0]}; train.val_split chooses another split"
        )
    return selection, learn, held, notes


def part_shares(
    part: NetworkPart, context: Context, folder: Path, split: str | None, names: Sequence[str]
) -> dict[str, Floats]:
    """Clip -> probabilities of the classes; clips without valid rows aren't among them.

    Raises:
        RunMismatch: the part isn't trained.
    """
    settings = of(context.settings)
    path = folder / WEIGHTS
    if not path.is_file():
        raise RunMismatch(f"{path} isn't there; train first: affectstore train guo2018 …")
    selection = _selection(part, context)
    net: nn.Module | None = None
    stages = part.stages(context, selection, ZScore(_dims(part, selection)), len(names))
    for stage in stages:
        net = stage.build(net)
    assert net is not None
    net.load_state_dict(held_tensors(path))
    chosen, _ = usable(part, selection, None if split is None else (split,))
    if not len(chosen):
        return {}
    clips = Clips(selection, stages[-1].sampler, positions=chosen)
    scores = predict_clips(net, clips, Classes(settings.model.label, names), settings.train)
    return {
        selection.clips[i].clip: values
        for i, values in zip(scores.positions.tolist(), scores.values, strict=True)
    }


def usable(
    part: NetworkPart, selection: Selection, splits: Sequence[str] | None
) -> tuple[Ints, list[str]]:
    """The clips of some splits (None: of all) with a valid row, and a note on the others."""
    lead = part.features[0]
    found, without = [], 0
    for i, clip in enumerate(selection.clips):
        if splits is None or clip.split in splits:
            if clip.results[lead].valid_share > 0:
                found.append(i)
            else:
                without += 1
    notes = [f"{part.name}: {without} clips have no valid row of {lead}"] if without else []
    return np.array(found, np.int64), notes


def _selection(part: NetworkPart, context: Context, labels: Sequence[str] = ()) -> Selection:
    found = select_clips(
        context.store,
        part.features,
        context.corpus,
        labels=labels,
        label_rate="clip",
        variant=context.variant,
    )
    need_dims(found, part.features[0], part.dims, f"model.parts={part.name}")
    return found


def _dims(part: NetworkPart, selection: Selection) -> tuple[int, ...]:
    return selection.specs[part.features[0]].dims


def _scaling(part: NetworkPart, selection: Selection, learn: Ints) -> ZScore:
    """Fitted on the rows that are learned from; pictures need none."""
    dims = _dims(part, selection)
    if len(dims) != 1:
        return ZScore(dims)
    chosen = replace(selection, clips=tuple(selection.clips[i] for i in learn.tolist()))
    return ZScore(dims, feature_statistics(chosen, part.features[0]))
