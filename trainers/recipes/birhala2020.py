"""Birhala et al. 2020: N audio-visual networks over temporal segments, ten folds of actors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from storage.audio_windows import SPECTROGRAM_FLOOR, spectrogram_window
from storage.clip_view import ClipView
from storage.selection import TIMELINE, Selection, select_clips
from trainers.clips import Clips, unlabelled
from trainers.folded import Fold, Folded, mean_of
from trainers.listing import BUILT_IN
from trainers.loop import Schedule
from trainers.models.segment_nets import SegmentNets
from trainers.moments import moments
from trainers.recipe import Context, Outcome, Predictions, Read
from trainers.rowless import need_rows, rowless
from trainers.schedules import StepDecay
from trainers.settings import ModelSettings, Settings, TrainSettings
from trainers.targets import Classes, class_names

FACE, SOUND = "face_224", "spectrogram_192x120"
#: epochs, or steps, after which the rate falls to a tenth (paper: 50 "training steps")
DECAY_EVERY = 50
#: clip label behind each kind of labels
LABELS: Mapping[str, str] = {"intended": "emotion", "voted": "voted"}


class Train(TrainSettings):
    """Stochastic gradient descent over ten folds; nothing is chosen by the fold held out."""

    epochs: int = Field(default=100, ge=1, description="epochs (ours)")
    batch: int = Field(default=16, ge=1, description="clips per step (ours)")
    lr: float = Field(default=1e-3, gt=0, description="first learning rate (paper)")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD (paper)")
    lr_decay: Literal["epochs", "steps"] = Field(
        default="epochs",
        description="the rate falls to a tenth every 50 epochs (ours), or every 50 steps, from the "
        "first rate anew in each epoch (the paper's words)",
    )
    patience: int = Field(default=0, ge=0, description="epochs without a better metric; 0 = never")
    folds: int = Field(
        default=10,
        ge=0,
        description="folds of subjects (paper: 10); 0 or 1: train.split and train.val_split",
    )
    keep: Literal["last", "best"] = Field(
        default="last",
        description="the epoch that counts (ours: the last); best is chosen by the clips that are "
        "scored, and flatters",
    )


class Model(ModelSettings):
    """How many segments, of what, with which labels."""

    n_segments: int = Field(default=10, ge=1, le=10, description="segments (paper: 10 is best)")
    jitter: float = Field(
        default=0.01,
        ge=0,
        description="seconds by which a window of sound is moved at most in training (paper)",
    )
    labels: Literal["intended", "voted"] = Field(
        default="intended", description="of the file name (ours), or the crowd's majority"
    )
    scale: float = Field(default=1.0, gt=0, le=1, description="widths times this; 1 is full size")


class BirhalaSettings(Settings):
    """``train.*`` and ``model.*`` of this recipe."""

    train: Train = Train()
    model: Model = Model()


class Birhala2020:
    """One face and 1.28 s of sound per segment, a network for each, scores summed."""

    name: ClassVar[str] = "birhala2020"
    title: ClassVar[str] = BUILT_IN["birhala2020"].title
    source: ClassVar[str] = BUILT_IN["birhala2020"].source
    published: ClassVar[tuple[str, ...]] = (
        "accuracy on CREMA-D, mean of ten folds of actors: 68.4 % (10 segments)",
        "human 63.6 % · an earlier network 55.8 % · RMA 65.0 % · MERML 66.5 %",
    )
    kind: ClassVar[type[Settings]] = BirhalaSettings

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """Crops, sound, and the frames' times that bring them together."""
        return (FACE, SOUND, TIMELINE)

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """One emotion per clip."""
        return (LABELS[_of(settings).model.labels],)

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def reads(self, context: Context) -> tuple[Read, ...]:
        """All clips where there are folds, else both splits."""
        train = _of(context.settings).train
        splits = None if train.folds > 1 else (train.split, train.val_split)
        labels = self.labels(context.settings)
        return (Read(context.corpus, context.features, labels, splits, context.variant),)

    def train(self, context: Context) -> Outcome:
        """Each fold's network from scratch; a fold that is done isn't trained again."""
        settings = _of(context.settings)
        train = settings.train
        selection = self._selection(context)
        names = class_names(context.store, context.corpus, self.labels(settings)[0])
        need_rows(selection, (FACE, SOUND), context.corpus)
        clips = self._clips(context, selection)
        context.progress.say(f"{len(selection)} clips; {clips.loading}")
        folded = self._folded(context, Classes(self.labels(settings)[0], names))
        if train.folds > 1:
            folds = folded.by_subject(clips, train.folds)
        else:
            folds = folded.by_split(clips, train.split, train.val_split)
        notes = [*selection.notes, *rowless(selection, (FACE, SOUND), "all clips"), *folded.notes]
        if train.keep == "best":
            notes.append("each fold's best epoch is chosen by the clips that it is scored on")
        context.say(notes)
        metrics = mean_of([fold.metrics for fold in folds])
        details: dict[str, object] = {"folds": len(folds), "loading": str(clips.loading)}
        if len(folds) > 1:
            details["accuracy of each fold"] = [f"{f.metrics['accuracy']:.4f}" for f in folds]
            details["clips of each fold"] = [f.clips for f in folds]
        return Outcome(
            metrics=metrics,
            history=_mean_history(folds),
            notes=notes,
            parameters=sum(p.numel() for p in folded.network(len(names)).parameters()),
            details=details,
            scored=f"mean of {len(folds)} folds of subjects" if len(folds) > 1 else None,
        )

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """Accuracy, UAR and macro F1, each clip by the fold that held its subject out.

        Where the corpus has no splits at all, every clip is scored.
        """
        splits = context.store.clips(context.corpus)["split"].to_pylist()
        selection = self._selection(context, split if any(splits) else None)
        folded = self._folded(context, None)
        target = folded.target
        wanted, known = target.truth(selection)
        labelled = np.flatnonzero(known)
        clips = self._clips(context, selection)
        without = rowless(selection, (FACE, SOUND), split)
        context.say([*selection.notes, *without, *unlabelled(clips, target)])
        answers = folded.answers(clips.only(labelled), self._count(context))
        return target.metrics(answers, wanted[labelled])

    def predict(self, context: Context, split: str | None) -> Predictions:
        """Clip, its class, and each class's probability."""
        selection = self._selection(context, split, labelled=False)
        folded = self._folded(context, None)
        answers = folded.answers(self._clips(context, selection), self._count(context))
        names = folded.target.names
        rows: list[tuple[object, ...]] = [
            (clip.clip, names[int(shares.argmax())], *(f"{p:.6f}" for p in shares.tolist()))
            for clip, shares in zip(selection.clips, answers, strict=True)
        ]
        notes = [*selection.notes, *rowless(selection, (FACE, SOUND), split or "all clips")]
        return Predictions(("clip", "class", *names), rows, notes)

    def _count(self, context: Context) -> int:
        """Folds of the run; one where splits are given."""
        return max(1, _of(context.settings).train.folds)

    def _selection(
        self, context: Context, split: str | None = None, *, labelled: bool = True
    ) -> Selection:
        return select_clips(
            context.store,
            context.features,
            context.corpus,
            split=split,
            labels=self.labels(context.settings) if labelled else (),
            label_rate="clip",
            variant=context.variant,
        )

    def _clips(self, context: Context, selection: Selection) -> Clips:
        settings = _of(context.settings)
        sampler = Segments(settings.model.n_segments, settings.model.jitter)
        return Clips(selection, sampler, mode=settings.train.mode)

    def _folded(self, context: Context, target: Classes | None) -> Folded:
        settings = _of(context.settings)

        def network(classes: int) -> nn.Module:
            return SegmentNets(settings.model.n_segments, classes, settings.model.scale)

        def optimizer(model: nn.Module) -> tuple[torch.optim.Optimizer, Schedule | None]:
            return _optimizer(settings.train, model)

        return Folded(
            context,
            network,
            optimizer,
            target or Folded.known_target(context, self.labels(settings)[0]),
            keep_last=settings.train.keep == "last",
        )


class Segments:
    """Picks, of each segment, a frame's face and the window of sound around it.

    In training the frame is random and the window's centre is moved by up to ``jitter`` seconds;
    else both are the segment's middle. The nearest frame with a face stands for one without
    (ours); a clip without any is black. Frames are placed by their own times, where the paper
    divides their number by the rate.
    """

    def __init__(self, segments: int, jitter: float) -> None:
        self._segments, self._jitter = segments, jitter

    def __call__(
        self, view: ClipView, rng: np.random.Generator | None
    ) -> Mapping[str, NDArray[np.generic]]:
        """``face`` uint8 ``(1, segments, 224, 224, 3)``; ``sound`` float32 ``(1, segments, 192,
        120)``."""
        frames = moments(view.rows(FACE), self._segments, rng)
        centres = view.times(FACE)[frames]
        if rng is not None:
            centres = centres + rng.uniform(-self._jitter, self._jitter, len(centres))
        face = view.take(FACE, view.nearest(FACE, frames))
        rows = np.where(view.valid(SOUND)[:, None], view.all(SOUND), SPECTROGRAM_FLOOR)
        t0 = view.clip.results[SOUND].t0
        windows = [spectrogram_window(rows.astype(np.float32), t0, c) for c in centres.tolist()]
        return {"face": face[None], "sound": np.stack(windows)[None]}


def _optimizer(train: Train, model: nn.Module) -> tuple[torch.optim.Optimizer, Schedule]:
    sgd = torch.optim.SGD(model.parameters(), lr=train.lr, momentum=train.momentum)
    if train.lr_decay == "epochs":
        return sgd, torch.optim.lr_scheduler.StepLR(sgd, DECAY_EVERY)
    return sgd, StepDecay(sgd, DECAY_EVERY, restart=True)


def _mean_history(folds: Sequence[Fold]) -> list[Mapping[str, float]]:
    """Per epoch the mean over the folds that came so far."""
    longest = max(len(fold.history) for fold in folds)
    return [
        mean_of([fold.history[i] for fold in folds if i < len(fold.history)])
        for i in range(longest)
    ]


def _of(settings: Settings) -> BirhalaSettings:
    return cast(BirhalaSettings, settings)


RECIPE = Birhala2020()
