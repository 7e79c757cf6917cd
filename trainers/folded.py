"""Training over folds of subjects, each in a folder of its own; done folds are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.clips import Clips, ClipTask, predict_clips
from trainers.errors import NothingToTrain, RunMismatch
from trainers.files import held_facts, held_tensors, publish, publish_tensors
from trainers.folds import subject_folds
from trainers.loop import Schedule, fit
from trainers.recipe import Context
from trainers.targets import Classes

WEIGHTS, FACTS, CLASSES = "model.safetensors", "fold.json", "classes.json"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """What one fold gave.

    Attributes:
        metrics: of the clips that were held out; clips: how many these are.
        history: an entry per epoch.
        corpus, subjects: who was held out; no subjects where splits were given.
        notes: what must be known to judge the figures.
    """

    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    clips: int
    corpus: str
    subjects: Sequence[str]
    notes: Sequence[str]


class Folded:
    """Trains a network per fold, and asks, of each clip, one that never met its subject.

    Args:
        network: a new one, of so many classes; optimizer: of a network.
        keep_last: the last epoch counts, not the one that is best on what is held out.

    Attributes:
        notes: of the folds, once they are trained.
    """

    def __init__(
        self,
        context: Context,
        network: Callable[[int], nn.Module],
        optimizer: Callable[[nn.Module], tuple[torch.optim.Optimizer, Schedule | None]],
        target: Classes,
        *,
        keep_last: bool,
    ) -> None:
        self._context, self.network, self._optimizer = context, network, optimizer
        self.target, self._keep_last = target, keep_last
        self.notes: list[str] = []

    @staticmethod
    def known_target(context: Context, label: str) -> Classes:
        """The classes that a trained run knows.

        Raises:
            RunMismatch: it isn't trained.
        """
        path = context.folder / CLASSES
        if not path.is_file():
            raise RunMismatch(f"{path} isn't there; train first: affectstore train …")
        return Classes(label, held_facts(path))

    def by_subject(self, clips: Clips, count: int) -> list[Fold]:
        """As many folds, no subject in two of them.

        Raises:
            NothingToTrain: see ``subject_folds``.
        """
        _, known = self.target.truth(clips.selection)
        clips = clips.only(clips.positions[known[clips.positions]])
        given = [clips.selection.clips[i].subject for i in clips.positions.tolist()]
        seed = self._context.settings.train.seed
        held, subjects = subject_folds(given, count, seed)
        self._begin()
        found = []
        for i, names in enumerate(subjects):
            self._context.progress.say(f"fold {i + 1} of {count}: {len(names)} subjects held out")
            parts = clips.only(clips.positions[held != i]), clips.only(clips.positions[held == i])
            found.append(self._fold(_named(i), *parts, seed + i, names))
        self.notes += dict.fromkeys(note for fold in found for note in fold.notes)
        return found

    def by_split(self, clips: Clips, train: str, val: str) -> list[Fold]:
        """One fold: learns from one split, holds another one out.

        Raises:
            NothingToTrain: a split has no clips.
        """
        splits = np.array([str(clip.split) for clip in clips.selection.clips])[clips.positions]
        for name in (train, val):
            if name not in splits:
                known = ", ".join(sorted(set(splits.tolist()) - {"None"})) or "none"
                raise NothingToTrain(f"no clip is in the split {name}; there are: {known}")
        self._begin()
        learn, held = (clips.only(clips.positions[splits == name]) for name in (train, val))
        fold = self._fold(_named(0), learn, held, self._context.settings.train.seed, ())
        self.notes += fold.notes
        return [fold]

    def answers(self, clips: Clips, count: int) -> NDArray[np.float64]:
        """Probabilities ``(clips, classes)``: of the fold that held the clip's subject out.

        The mean over all folds where none did, or all did.

        Args:
            count: folds of the run; a fold that is lacking has clips that all others learned from.

        Raises:
            RunMismatch: a fold isn't trained.
        """
        folders = [self._context.folder / _named(i) for i in range(count)]
        lacking = [folder.name for folder in folders if not (folder / FACTS).is_file()]
        if lacking:
            raise RunMismatch(
                f"{self._context.folder} holds no trained {', '.join(lacking)}; train first (the "
                "same command goes on where it was stopped)"
            )
        folds = [_read(folder) for folder in folders]
        total = np.zeros((len(clips), self.target.columns))
        asked = np.zeros(len(clips), np.int64)
        given = [clips.selection.clips[i] for i in clips.positions.tolist()]
        held = np.array(
            [
                [fold.corpus == clip.corpus and clip.subject in fold.subjects for fold in folds]
                for clip in given
            ],
            bool,
        ).reshape(len(given), len(folds))
        # nobody held the subject out: it is a stranger to all of them
        held[~held.any(1)] = True
        settings = self._context.settings.train
        for folder, asks in zip(folders, held.T, strict=True):
            if asks.any():
                network = self.network(self.target.columns)
                network.load_state_dict(held_tensors(folder / WEIGHTS))
                some = clips.only(clips.positions[asks])
                total[asks] += predict_clips(network, some, self.target, settings).values
                asked[asks] += 1
        return total / asked[:, None]

    def _begin(self) -> None:
        path = self._context.folder / CLASSES
        publish(path, json.dumps(self.target.names) + "\n")

    def _fold(
        self, name: str, train: Clips, held: Clips, seed: int, subjects: Sequence[str]
    ) -> Fold:
        """Train one fold, or go on with it, or take what it gave."""
        context = self._context
        folder = context.folder / name
        if all((folder / name).is_file() for name in (FACTS, WEIGHTS)):
            return _read(folder)
        settings = context.settings.train.model_copy(update={"seed": seed})
        torch.manual_seed(seed)
        network = self.network(self.target.columns)
        task = ClipTask(
            network, train, held, self.target, settings, self._optimizer, keep_last=self._keep_last
        )
        state = fit(task, settings, folder / "checkpoints", context.progress)
        best = state.history[state.best_epoch - 1]
        names = ("accuracy", "uar", "macro_f1")
        fold = Fold(
            {name: best[name] for name in names},
            state.history,
            len(held),
            context.corpus,
            tuple(subjects),
            tuple(task.notes),
        )
        publish_tensors(folder / WEIGHTS, network.state_dict())
        # the facts come last: a fold that has them is whole, and needs its checkpoints no more
        publish(folder / FACTS, json.dumps(asdict(fold)))
        shutil.rmtree(folder / "checkpoints")
        return fold


def mean_of(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number over several entries with the same names."""
    return {name: float(np.mean([entry[name] for entry in entries])) for name in entries[0]}


def _named(fold: int) -> str:
    """Of its folder; they are counted from 1."""
    return f"fold-{fold + 1:02d}"


def _read(folder: Path) -> Fold:
    """What a fold's folder tells.

    Raises:
        RunMismatch: the file is damaged.
    """
    try:
        return Fold(**json.loads((folder / FACTS).read_bytes()))
    except (ValueError, TypeError) as error:
        raise RunMismatch(
            f"{folder / FACTS} is damaged ({error}); remove {folder} to train that fold again"
        ) from error
