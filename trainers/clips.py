"""Clips as the unit of training: one answer per clip, from the rows that a recipe picks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from storage.batches import Batch
from storage.catalogue import counted
from storage.clip_view import ClipView
from storage.loading import Mode, as_tensor, choose
from storage.selection import Selection
from trainers.ahead import ahead
from trainers.control import told_by, unlike
from trainers.device import autocast, find_device
from trainers.errors import NothingToTrain
from trainers.loop import Schedule
from trainers.settings import TrainSettings
from trainers.targets import Classes, Target

#: threads that read the next batch's clips meanwhile
READERS = 2
#: bytes of views that are scored at once, however long the clips are; a larger view is alone
SCORED_BYTES = 128 << 20

Ints = NDArray[np.int64]
Values = NDArray[np.generic]


class Later:
    """Rows of a clip, read when they are asked for: views that would be too much all at once.

    Args:
        rows: of the feature, int64 ``(views, …)``; the values are ``(views, …, *dims)``.
    """

    def __init__(self, view: ClipView, feature: str, rows: Ints) -> None:
        self._view, self._feature, self._rows = view, feature, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> Values:
        """Values of some views."""
        rows = self._rows[part]
        taken = self._view.take(self._feature, rows.ravel())
        return taken.reshape(*rows.shape, *taken.shape[1:])

    @property
    def nbytes(self) -> int:
        """Of all values."""
        return self._rows.size * self._view.spec(self._feature).row_bytes


#: input name -> ``(views, …)``, all inputs with equally many views, at least one
Views = Mapping[str, Values | Later]
#: a recipe's own choice of a clip's rows. The generator is None where nothing may be random. In
#: one batch all views of an input have one shape; a clip may have several views (windows, maps)
Sampler = Callable[[ClipView, np.random.Generator | None], Views]


class Clips:
    """Batches of clips of a selection.

    Args:
        positions: of the selection, those that count; all if None.
        mode: ``ram`` keeps rows that were read, ``stream`` reads each clip's anew; None chooses
            by size. (``device`` is ``ram``, and ``loading`` says so: what is picked changes each
            time.)

    Attributes:
        loading: what was chosen; tell it to the user.
    """

    def __init__(
        self,
        selection: Selection,
        sampler: Sampler,
        *,
        positions: Ints | None = None,
        mode: Mode | None = None,
    ) -> None:
        self.selection, self._sampler = selection, sampler
        self.positions = np.arange(len(selection)) if positions is None else positions
        chosen = [selection.clips[i] for i in self.positions.tolist()]
        sizes = {name: selection.specs[name].row_bytes for name in selection.features}
        total = sum(clip.results[n].rows * size for clip in chosen for n, size in sizes.items())
        self.loading = choose(total, torch.device("cpu"), mode)
        keep = self.loading.mode == "ram"
        self._views = {i: ClipView(selection, i, keep=keep) for i in self.positions.tolist()}

    def __len__(self) -> int:
        return len(self.positions)

    def only(self, positions: Ints) -> Clips:
        """Some of the selection's clips; what was read of them is shared."""
        made = copy.copy(self)
        made.positions = positions
        return made

    def batches(self, size: int, *, seed: int = 0, epoch: int | None = None) -> Iterator[Batch]:
        """All clips once, ``size`` at most at a time, in batches of nearly equal size.

        With an epoch they are shuffled, and each clip's sampler gets a generator of its own, that
        follows from seed, epoch and clip alone; without one nothing is random.

        Yields:
            Batches whose ``values`` are the views of all their clips, one clip after the other,
            and whose ``clips`` tell, per view, the clip's position in the selection.
        """
        order = self.positions
        if epoch is not None:
            order = np.random.default_rng([seed, epoch]).permutation(order)
        groups = np.array_split(order, max(1, -(-len(order) // size)))
        if epoch is None:
            yield from ahead(_batch, self._bounded(groups), 1)
            return
        with ThreadPoolExecutor(READERS) as readers:

            def begin(group: Ints) -> list[Future[Views]]:
                return [readers.submit(self._sampled, i, seed, epoch) for i in group.tolist()]

            following = begin(groups[0])
            for i, group in enumerate(groups):
                views = [future.result() for future in following]
                following = begin(groups[i + 1]) if i + 1 < len(groups) else []
                if views:
                    yield _batch([_whole(*each) for each in zip(group, views, strict=True)])

    def _bounded(self, groups: Sequence[Ints]) -> Iterator[list[Piece]]:
        """A batch per group, or several where its views take more than ``SCORED_BYTES``."""
        order = [i for group in groups for i in group.tolist()]
        sampled = ahead(lambda i: self._sampled(i, 0, None), order, READERS)
        for group in groups:
            held: list[Piece] = []
            room = SCORED_BYTES
            for clip, views in zip(group.tolist(), sampled, strict=False):
                whole = _whole(clip, views)
                each = max(1, sum(v.nbytes for v in views.values()) // max(1, whole.stop))
                start = 0
                while start < whole.stop:
                    if held and room < each:
                        yield held
                        held, room = [], SCORED_BYTES
                    stop = min(whole.stop, start + max(1, room // each))
                    held.append(replace(whole, start=start, stop=stop))
                    start, room = stop, room - (stop - start) * each
            if held:
                yield held

    def _sampled(self, clip: int, seed: int, epoch: int | None) -> Views:
        rng = None if epoch is None else np.random.default_rng([seed, epoch, clip, 1])
        return self._sampler(self._views[clip], rng)


@dataclass(frozen=True, eq=False)
class Piece:
    """Views ``[start, stop)`` of a clip."""

    clip: int
    views: Views
    start: int
    stop: int


def _whole(clip: int, views: Views) -> Piece:
    return Piece(clip, views, 0, len(next(iter(views.values()))))


def _batch(pieces: Sequence[Piece]) -> Batch:
    counts = [piece.stop - piece.start for piece in pieces]
    clips = np.array([piece.clip for piece in pieces], np.int64)
    joined = {
        name: np.concatenate([piece.views[name][piece.start : piece.stop] for piece in pieces])
        for name in pieces[0].views
    }
    total = sum(counts)
    return Batch(
        values={name: as_tensor(values) for name, values in joined.items()},
        valid={},
        mask=torch.ones(total, 1, dtype=torch.bool),
        labels={},
        labelled={},
        clips=np.repeat(clips, counts),
        starts=np.zeros(total, np.int64),
    )


@dataclass(frozen=True, eq=False)
class ClipScores:
    """Answers of a network.

    Attributes:
        positions: of the clips in the selection; values: ``(clips, columns)``, each clip's mean
            over its views.
    """

    positions: Ints
    values: NDArray[np.float64]


class ClipTask:
    """A task of the loop: one answer per clip.

    Args:
        model: takes input name -> ``(views, …)``, gives ``(views, columns)``.
        val: may be empty; then ``keep_last`` is needed.
        optimizer: makes the optimizer (and schedule) of the model.
        keep_last: the last epoch's weights are kept, not the best one's.

    Attributes:
        notes: what must be known to judge the figures.

    Raises:
        NothingToTrain: no clip to learn from, or none to score, is labelled, or there is only one
            class.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Clips,
        val: Clips,
        target: Target,
        settings: TrainSettings,
        optimizer: Callable[[nn.Module], tuple[torch.optim.Optimizer, Schedule | None]],
        *,
        keep_last: bool = False,
    ) -> None:
        self._model, self._target, self._settings = model, target, settings
        self._optimizer, self._keep_last = optimizer, keep_last
        wanted, known = target.truth(train.selection)
        labelled = train.positions[known[train.positions]]
        if not len(labelled):
            raise NothingToTrain("no clip to learn from has the label that is learned")
        self.notes: list[str] = []
        if isinstance(target, Classes) and len(alike := np.unique(wanted[labelled].numpy())) == 1:
            said = (
                f"{counted(len(labelled), 'clip')} to learn from, all with the {target.label} "
                f"{target.names[int(alike[0])]!r}"
            )
            if target.columns == 1:
                raise NothingToTrain(f"{said}, the only one there is: two classes are needed")
            self.notes.append(f"{said}: no other can be learned")
        if len(labelled) < len(train):
            without = counted(len(train) - len(labelled), "clip")
            self.notes.append(f"{without} to learn from without a label")
            train = train.only(labelled)
        if len(val):
            need_labelled(val, target)
        self.notes += unlabelled(val, target)
        if settings.shuffle_labels:
            told = told_by(wanted[labelled].numpy(), target.columns)
            order = unlike(told, np.random.default_rng([settings.seed, 99]))
            wanted = wanted.clone()
            wanted[labelled] = wanted[labelled[order]]
            self.notes.append("CONTROL: trained on other clips' labels")
        self._train, self._val, self._wanted = train, val, wanted

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self._model

    @property
    def monitor(self) -> str:
        """The target's, or none."""
        return "" if self._keep_last else self._target.monitor

    def optimizer(self) -> tuple[torch.optim.Optimizer, Schedule | None]:
        """As the recipe wants it."""
        return self._optimizer(self._model)

    def batches(self, epoch: int) -> Iterable[Batch]:
        """Shuffled clips, their rows picked anew."""
        s = self._settings
        return self._train.batches(s.batch, seed=s.seed, epoch=epoch)

    def batch_count(self) -> int:
        """Batches of an epoch."""
        return -(-len(self._train) // self._settings.batch)

    def forward(self, batch: Batch) -> torch.Tensor:
        """``(views, columns)``."""
        out: torch.Tensor = self._model(batch.values)
        return out

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The target's, over the batch's views."""
        return self._target.loss(output, self._wanted[batch.clips].to(output.device))

    def weight(self, batch: Batch) -> float:
        """Views."""
        return float(len(batch.clips))

    def validate(self) -> dict[str, float]:
        """The target's metrics over the labelled clips."""
        if not len(self._val):
            return {}
        return score_clips(self._model, self._val, self._target, self._settings)


def predict_clips(
    model: nn.Module, clips: Clips, target: Target, settings: TrainSettings
) -> ClipScores:
    """The network's answers, averaged over each clip's views; nothing is random."""
    device = find_device(settings.device)
    place = np.full(len(clips.selection), -1)
    place[clips.positions] = np.arange(len(clips))
    total = np.zeros((len(clips), target.columns))
    count = np.zeros(len(clips), np.int64)
    model = model.to(device).eval()
    with torch.inference_mode():
        for batch in clips.batches(settings.batch):
            moved = batch.to(device)
            with autocast(device, settings.precision):
                output = model(moved.values)
            found = target.answers(output.float()).double().cpu().numpy()
            np.add.at(total, place[batch.clips], found)
            np.add.at(count, place[batch.clips], 1)
    return ClipScores(clips.positions, total / count[:, None])


def unlabelled(clips: Clips, target: Target) -> list[str]:
    """A note on those of the clips that can't be scored, if there are any."""
    _, known = target.truth(clips.selection)
    count = int((~known[clips.positions]).sum())
    return [f"{counted(count, 'clip')} to score without a label"] if count else []


def need_labelled(clips: Clips, target: Target) -> Clips:
    """Those of the clips that are labelled.

    Raises:
        NothingToTrain: none is.
    """
    _, known = target.truth(clips.selection)
    labelled = clips.positions[known[clips.positions]]
    if not len(labelled):
        raise NothingToTrain("no clip to score has the label that is learned")
    return clips if len(labelled) == len(clips) else clips.only(labelled)


def score_clips(
    model: nn.Module, clips: Clips, target: Target, settings: TrainSettings
) -> dict[str, float]:
    """The target's metrics over those of the clips that are labelled.

    Raises:
        NothingToTrain: none is.
    """
    wanted, _ = target.truth(clips.selection)
    clips = need_labelled(clips, target)
    scores = predict_clips(model, clips, target, settings)
    return target.metrics(scores.values, wanted[scores.positions])
