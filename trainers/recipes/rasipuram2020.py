"""Rasipuram et al. 2020: GRU fusion of sound, expression and face pose, valence and arousal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import nn

from storage.batches import Windows
from storage.catalogue import counted
from storage.selection import TIMELINE, select_clips
from storage.statistics import feature_statistics
from trainers.control import shuffled
from trainers.device import find_device
from trainers.errors import RunMismatch, WrongSetting
from trainers.files import held_tensors, publish_tensors
from trainers.frame_rows import ClipFrames, FrameRows
from trainers.frames import (
    FrameRegression,
    need_labels,
    out_of_reach,
    predict_frames,
    score_frames,
)
from trainers.listing import BUILT_IN
from trainers.loop import Schedule, fit
from trainers.models.gru_fusion import GruFusion, Shape
from trainers.models.scaling import ZScore
from trainers.recipe import Context, Outcome, Predictions, Read
from trainers.rowless import need_rows, rowless
from trainers.settings import ModelSettings, Settings, TrainSettings

#: frames of a window and between windows (overlap 5), of the paper
LENGTH, STRIDE = 15, 10
#: what the network puts out, in order
LABELS = ("valence", "arousal")
#: features with the 714 columns of an OpenFace row, in order of preference
POSES = ("openface", "facemesh_714")
WEIGHTS = "model.safetensors"

Branches = Literal["fusion", "audio", "expnet"]


class Train(TrainSettings):
    """RMSprop at 1e-4 is the paper's; batch, epochs, patience and smoothing are ours."""

    epochs: int = Field(default=50, ge=1, description="most epochs (ours)")
    batch: int = Field(default=64, ge=1, description="windows per step (ours)")
    lr: float = Field(default=1e-4, gt=0, description="of RMSprop (paper)")
    alpha: float = Field(
        default=0.9, gt=0, lt=1, description="smoothing of RMSprop (ours, Keras' default)"
    )
    patience: int = Field(
        default=10, ge=0, description="epochs without a better CCC (ours); 0 = never"
    )


class Model(ModelSettings):
    """Which branches, of what."""

    branches: Branches = Field(default="fusion", description="fusion, audio alone, or ExpNet alone")
    cell: Literal["gru", "bilstm"] = Field(
        default="gru", description="gru (paper), or its BiLSTM variant"
    )
    audio: str = Field(default="mfcc_mel", description="feature of the audio branch")
    face: str = Field(default="expnet", description="feature of the expression branch")
    pose: str = Field(
        default="auto", description="feature of the pose branch; auto: openface, else mesh"
    )
    scale: float = Field(default=1.0, gt=0, le=1, description="widths times this; 1 is the paper's")
    length: int = Field(default=LENGTH, ge=1, description="frames of a window (paper: 15)")
    stride: int = Field(default=STRIDE, ge=1, description="frames between windows (paper: 10)")

    @property
    def reach(self) -> int:
        """Frames between windows where every frame is to be answered: no gap between two."""
        return min(self.stride, self.length)


class RasipuramSettings(Settings):
    """``train.*`` and ``model.*`` of this recipe."""

    train: Train = Train()
    model: Model = Model()


class Network(nn.Module):
    """Scaling per feature, then the fusion network."""

    def __init__(self, branches: Mapping[str, str], scaling: nn.ModuleDict, net: GruFusion) -> None:
        super().__init__()
        self.branches, self.scaling, self.net = dict(branches), scaling, net

    def forward(self, values: Mapping[str, torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Feature -> ``(windows, length, columns)``; ``(windows, length, 2)``."""
        scaled = {b: self.scaling[b](values[f]) for b, f in self.branches.items()}
        out: torch.Tensor = self.net(scaled, mask)
        return out


class Rasipuram2020:
    """The fusion network, its BiLSTM variant, and single branches."""

    name: ClassVar[str] = "rasipuram2020"
    title: ClassVar[str] = BUILT_IN["rasipuram2020"].title
    source: ClassVar[str] = BUILT_IN["rasipuram2020"].source
    published: ClassVar[tuple[str, ...]] = (
        "validation CCC valence / arousal on Aff-Wild2: challenge baseline .14 / .24",
        "audio .14 / .21 · ExpNet .18 / .29 · fusion .22 / .34",
    )
    kind: ClassVar[type[Settings]] = RasipuramSettings

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """In order of the branches: sound, expression, pose."""
        return tuple(self._branches(_of(settings), known).values())

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """Valence and arousal, per frame."""
        return LABELS

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """None."""
        return ()

    def reads(self, context: Context) -> tuple[Read, ...]:
        """Both splits, and the frames' times where a feature of another rate lies beneath them."""
        train = context.settings.train
        store, features = context.store, context.features
        published = store.published(corpus=context.corpus, features=features)
        rates = {store.spec(last).rate for last in {p.feature: p for p in published}.values()}
        if "segment" in rates or rates == {"clip"}:
            features = (*dict.fromkeys((*features, TIMELINE)),)
        splits = (train.split, train.val_split)
        return (Read(context.corpus, features, LABELS, splits, context.variant),)

    def train(self, context: Context) -> Outcome:
        """RMSprop on mean squared error; the epoch with the best mean CCC is kept."""
        settings = _of(context.settings)
        train, model = settings.train, settings.model
        first = self._windows(context, train.split, model.stride)
        val = self._windows(context, train.val_split, model.reach)
        notes = list(dict.fromkeys([*_notes(first, train.split), *_notes(val, train.val_split)]))
        need_rows(first.selection, context.features, train.split)
        notes += out_of_reach(first.selection, LABELS)
        if train.shuffle_labels:
            first = shuffled(first, train.seed)
            notes.append("CONTROL: trained on other clips' labels")
        for kind, windows in (("train", first), ("val", val)):
            context.progress.say(f"{kind}: {counted(len(windows), 'window')}; {windows.loading}")
        context.say(notes)
        torch.manual_seed(train.seed)
        network = self._fitted(context)

        def optimizer(model: nn.Module) -> tuple[torch.optim.Optimizer, Schedule | None]:
            rms = torch.optim.RMSprop(model.parameters(), lr=train.lr, alpha=train.alpha)
            return rms, None

        task = FrameRegression(network, first, val, LABELS, train, optimizer)
        state = fit(task, train, context.folder / "checkpoints", context.progress)
        publish_tensors(context.folder / WEIGHTS, network.state_dict())
        best = state.history[state.best_epoch - 1]
        return Outcome(
            metrics={k: v for k, v in best.items() if k.startswith("ccc_")},
            history=state.history,
            notes=notes,
            parameters=sum(p.numel() for p in network.parameters()),
            details={"best_epoch": state.best_epoch, "loading": str(first.loading)},
        )

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """CCC over all labelled frames of the split, concatenated."""
        settings = _of(context.settings)
        windows = self._windows(context, split, settings.model.reach)
        context.say(_notes(windows, split))
        return score_frames(self._trained(context), windows, LABELS, settings.train.precision)

    def predict(self, context: Context, split: str | None) -> Predictions:
        """Clip, frame (from 0), valence and arousal; each frame averaged over its windows."""
        settings = _of(context.settings)
        windows = self._windows(context, split, settings.model.reach, labelled=False)
        found = predict_frames(
            self._trained(context), windows, len(LABELS), settings.train.precision
        )
        answers = [
            ClipFrames(scores.clip, tuple(scores.values.T), len(scores.values))
            for scores in found.clips
        ]
        notes = _notes(windows, split or "all clips")
        return Predictions(("clip", "frame", *LABELS), FrameRows(answers), notes)

    def _branches(self, settings: RasipuramSettings, known: Collection[str]) -> dict[str, str]:
        model = settings.model
        pose = model.pose
        if pose == "auto" and model.branches == "fusion":
            pose = next((name for name in POSES if name in known), "")
            if not pose:
                raise WrongSetting(
                    f"model.pose=auto: neither of {', '.join(POSES)} can be extracted here nor is "
                    "published; set model.pose=FEATURE, or model.branches=audio"
                )
        named = {"audio": model.audio, "face": model.face, "pose": pose}
        chosen = {"fusion": tuple(named), "audio": ("audio",), "expnet": ("face",)}[model.branches]
        return {branch: named[branch] for branch in chosen}

    def _windows(
        self, context: Context, split: str | None, stride: int, *, labelled: bool = True
    ) -> Windows:
        """Windows of all branches; frames without a face take the nearest one's row (ours)."""
        settings = _of(context.settings)

        def windows(features: tuple[str, ...]) -> Windows:
            return context.store.windows(
                features,
                settings.model.length,
                stride,
                context.corpus,
                split,
                labels=LABELS if labelled else (),
                fill=context.features,
                device=str(find_device(settings.train.device)),
                mode=settings.train.mode,
                variant=context.variant,
            )

        found = windows(context.features)
        if all(found.selection.specs[name].rate != "frame" for name in context.features):
            # what is predicted is of frames, whatever the rate of what it is predicted from
            found = windows((*context.features, TIMELINE))
        if labelled:
            need_labels(found, LABELS, split or "the corpus")
        return found

    def _fitted(self, context: Context) -> Network:
        """A new network, scaled by the training split's rows."""
        settings = _of(context.settings)
        branches = self._branches(settings, context.features)
        selection = select_clips(
            context.store,
            context.features,
            context.corpus,
            split=settings.train.split,
            variant=context.variant,
        )
        scaling: dict[str, ZScore] = {}
        for branch, feature in branches.items():
            dims = selection.specs[feature].dims
            if len(dims) != 1:
                raise WrongSetting(f"{feature} has rows of shape {dims}; a branch takes vectors")
            scaling[branch] = ZScore(dims, feature_statistics(selection, feature))
        return _network(settings, branches, scaling)

    def _trained(self, context: Context) -> Network:
        """The network that ``train`` left in the run's folder."""
        path = context.folder / WEIGHTS
        if not path.is_file():
            raise RunMismatch(f"{path} isn't there; train first: affectstore train {self.name} …")
        settings, tensors = _of(context.settings), held_tensors(path)
        branches = self._branches(settings, context.features)
        scaling = {b: ZScore(tuple(tensors[f"scaling.{b}.mean"].shape)) for b in branches}
        network = _network(settings, branches, scaling)
        network.load_state_dict(tensors)
        return network.to(find_device(settings.train.device))


def _network(
    settings: RasipuramSettings, branches: Mapping[str, str], scaling: Mapping[str, ZScore]
) -> Network:
    columns = {branch: len(scale.mean) for branch, scale in scaling.items()}
    net = GruFusion(Shape(columns, settings.model.cell, settings.model.scale))
    return Network(branches, nn.ModuleDict(dict(scaling)), net)


def _notes(windows: Windows, split: str) -> list[str]:
    """What must be known of the clips that are read."""
    selection = windows.selection
    notes = [*selection.notes, *rowless(selection, selection.features, split)]
    if windows.rows.cut:
        notes.append(f"{split}: {windows.rows.cut} clips have features or labels of unequal rows")
    return notes


def _of(settings: Settings) -> RasipuramSettings:
    return cast(RasipuramSettings, settings)


RECIPE = Rasipuram2020()
