"""Peng et al. 2018: ANet on sound, VNet on faces, and both jointly; arousal, valence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from storage.catalogue import counted
from storage.clip_view import ClipView
from storage.selection import Selection, select_clips
from trainers import pretrained
from trainers.clips import Clips, ClipTask, predict_clips, score_clips, unlabelled
from trainers.device import find_device
from trainers.dims import need_dims
from trainers.errors import RunMismatch, WrongSetting
from trainers.files import held_tensors, publish_tensors
from trainers.frames import out_of_reach
from trainers.listing import BUILT_IN
from trainers.loop import fit
from trainers.models.anet import MAP, OTHER_THAN_VGG
from trainers.models.audio_visual import FACES, LABELS, MAPS, AudioVisual
from trainers.models.vnet import CROP
from trainers.moments import moments
from trainers.recipe import Context, Outcome, Predictions
from trainers.recipes.peng2018_networks import PARTS, load_part, network, optimizer, target
from trainers.recipes.peng2018_settings import PengSettings, Stage
from trainers.rowless import need_rows, rowless
from trainers.settings import Settings
from trainers.submission import per_utterance

WEIGHTS = "model.safetensors"
#: in the weights registry
FACE_START, SOUND_START = "sphere20a", "vgg16-imagenet"


class Peng2018:
    """VNet, then ANet, then both jointly, each a stage in a folder of its own."""

    name: ClassVar[str] = "peng2018"
    title: ClassVar[str] = BUILT_IN["peng2018"].title
    source: ClassVar[str] = BUILT_IN["peng2018"].source
    published: ClassVar[tuple[str, ...]] = (
        "validation CCC arousal / valence / total on OMG-Emotion: ANet .1879 / .256 / .4439",
        "VNet .2798 / .4688 / .7486 · joint .3036 / .4796 / .7832",
    )
    kind: ClassVar[type[Settings]] = PengSettings

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """The maps of sound, and identity features or crops of the face."""
        named = _of(settings)
        found = tuple(_feature(named, part) for part in PARTS[_last(named)])
        if "sphereface" in found and "sphereface" not in known:
            raise WrongSetting(
                "model.vnet=features reads sphereface, which can't be extracted here nor is "
                f"published: it needs the weights {FACE_START} (affectstore weights show "
                f"{FACE_START}); or train the network itself on crops: model.vnet=crops"
            )
        return found

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """Arousal and valence, per clip."""
        return LABELS

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """VGG-16 for ANet; SphereFace-20a for VNet where it sees crops."""
        model, train = _of(settings).model, _of(settings).train
        if model.part == "joint" or not model.pretrained or model.scale != 1:
            return ()
        sound = model.part != "vnet" and not train.anet
        faces = model.part != "anet" and not train.vnet and model.vnet == "crops"
        return (SOUND_START,) * sound + (FACE_START,) * faces

    def starts(self, settings: Settings) -> Mapping[str, Path]:
        """VNet and ANet of other runs, where these are named."""
        train = _of(settings).train
        given = {"vnet": train.vnet, "anet": train.anet} if _last(_of(settings)) == "joint" else {}
        return {f"train.{part}": _held(Path(run) / part) for part, run in given.items() if run}

    def train(self, context: Context) -> Outcome:
        """The stages that ``model.part`` asks for; one that is finished isn't repeated."""
        settings = _of(context.settings)
        asked = settings.model.part
        given = {"vnet": settings.train.vnet, "anet": settings.train.anet}
        stages = [s for s in PARTS if s == asked or (asked == "all" and not given.get(s))]
        notes: list[str] = []
        details: dict[str, object] = {}
        for stage in stages:
            outcome = self._stage(context, stage)
            notes += [f"{stage}: {note}" for note in outcome.notes]
            details |= {f"{stage}, {key}": value for key, value in outcome.details.items()}
        return Outcome(outcome.metrics, outcome.history, notes, outcome.parameters, details)

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """CCC over the split's labelled utterances, by the last stage's network."""
        settings = _of(context.settings)
        stage = _last(settings)
        selection = self._selection(context, stage, split)
        clips = _clips(settings, selection)
        context.say([*_told(selection, split), *unlabelled(clips, target())])
        return score_clips(self._trained(context, stage), clips, target(), settings.train)

    def predict(self, context: Context, split: str | None) -> Predictions:
        """A row per utterance, as OMG-Emotion takes them."""
        settings = _of(context.settings)
        stage = _last(settings)
        selection = self._selection(context, stage, split, labelled=False)
        clips = _clips(settings, selection)
        scores = predict_clips(self._trained(context, stage), clips, target(), settings.train)
        names = [selection.clips[i].clip for i in scores.positions.tolist()]
        found = dict(zip(names, scores.values, strict=True))
        rows = per_utterance(context, split, LABELS, found)
        without = rowless(selection, selection.features, split or "all clips")
        return replace(rows, notes=[*rows.notes, *without])

    def _stage(self, context: Context, stage: Stage) -> Outcome:
        settings = _of(context.settings)
        train = settings.train.of(stage)
        first = self._selection(context, stage, train.split)
        val = self._selection(context, stage, train.val_split)
        need_rows(first, first.features, train.split)
        notes = [*_told(first, train.split), *_told(val, train.val_split)]
        torch.manual_seed(train.seed)
        net = network(settings.model, stage, _inputs(settings, first))
        notes += self._begin(context, stage, net)
        clips = _clips(settings, first)
        task = ClipTask(
            net,
            clips,
            _clips(settings, val),
            target(train.loss),
            train,
            lambda trained: optimizer(trained, train),
        )
        notes += [*task.notes, *out_of_reach(first, LABELS)]
        found = counted(len(clips), "clip")
        context.progress.say(f"{stage}: {found} to learn from; {clips.loading}")
        context.say(f"{stage}: {note}" for note in notes)
        folder = context.folder / stage
        state = fit(task, train, folder / "checkpoints", context.progress)
        publish_tensors(_held(folder), net.state_dict())
        best = state.history[state.best_epoch - 1]
        metrics = {k: v for k, v in best.items() if k.startswith("ccc_")}
        return Outcome(
            metrics=metrics,
            history=state.history,
            notes=notes,
            parameters=sum(p.numel() for p in net.parameters()),
            details={"best epoch": state.best_epoch}
            | {name: f"{value:.4f}" for name, value in metrics.items()},
        )

    def _begin(self, context: Context, stage: Stage, net: AudioVisual) -> list[str]:
        """Give the networks their starts; what they are, a line each."""
        settings = _of(context.settings)
        if stage == "joint":
            return self._join(context, net)
        if stage == "vnet" and settings.model.vnet == "features":
            return []
        if not settings.model.pretrained:
            return ["starts from scratch, as asked for"]
        if settings.model.scale != 1:
            return ["starts from scratch: no weights fit model.scale"]
        if net.anet is not None:
            return [pretrained.start(context, net.anet, SOUND_START, skip=OTHER_THAN_VGG)]
        if net.vnet is not None and net.vnet.backbone is not None:
            return [pretrained.start(context, net.vnet.backbone.net, FACE_START)]
        return []

    def _join(self, context: Context, net: AudioVisual) -> list[str]:
        """Both networks as they were trained alone.

        Raises:
            RunMismatch: they weren't, and ``train.from_scratch`` isn't set.
        """
        settings = _of(context.settings)
        given = {"vnet": settings.train.vnet, "anet": settings.train.anet}
        notes = []
        for part in PARTS["joint"]:
            folder = Path(given[part]) if given[part] else context.folder
            path, where = _held(folder / part), f", in {folder}" if given[part] else ""
            if path.is_file():
                try:
                    load_part(net, part, path)
                except RuntimeError as error:
                    raise RunMismatch(
                        f"{path} is of another shape; train.{part} must name a run with the same "
                        "model settings"
                    ) from error
                notes.append(f"{part} starts as trained alone{where}")
            elif settings.train.from_scratch:
                notes.append(f"{part} starts from scratch, as asked for")
            else:
                raise RunMismatch(
                    f"{path} isn't there: joint training starts from the {part} that was trained "
                    f"alone; train it (--set model.part={part}) and name its run with --set "
                    f"train.{part}=FOLDER, or use model.part=all, or train.from_scratch=true"
                )
        return notes

    def _selection(
        self, context: Context, stage: Stage, split: str | None, *, labelled: bool = True
    ) -> Selection:
        settings = _of(context.settings)
        found = select_clips(
            context.store,
            [_feature(settings, part) for part in PARTS[stage]],
            context.corpus,
            split=split,
            labels=LABELS if labelled else (),
            label_rate="clip",
            variant=context.variant,
        )
        _inputs(settings, found)
        if "anet" in PARTS[stage]:
            need_dims(found, settings.model.maps_feature, MAP, "ANet")
        return found

    def _trained(self, context: Context, stage: Stage) -> AudioVisual:
        """The network that a stage left in the run's folder."""
        path = _held(context.folder / stage)
        if not path.is_file():
            raise RunMismatch(f"{path} isn't there; train first: affectstore train {self.name} …")
        settings, tensors = _of(context.settings), held_tensors(path)
        inputs = tensors["vnet.lstm.weight_ih_l0"].shape[1] if "vnet" in PARTS[stage] else 0
        net = network(settings.model, stage, inputs)
        net.load_state_dict(tensors)
        return net.to(find_device(settings.train.device))


def _told(selection: Selection, split: str) -> list[str]:
    """What must be known of the clips that are read."""
    return [*selection.notes, *rowless(selection, selection.features, split)]


def _inputs(settings: PengSettings, selection: Selection) -> int:
    """Numbers per face, where VNet sees features; 0 where it doesn't.

    Raises:
        WrongSetting: the feature isn't what ``model.vnet`` says.
    """
    feature = _feature(settings, "vnet")
    if feature not in selection.features:
        return 0
    if settings.model.vnet == "crops":
        need_dims(selection, feature, CROP, "model.vnet=crops")
        return 0
    need_dims(selection, feature, (None,), "model.vnet=features")
    return selection.specs[feature].dims[0]


def _clips(settings: PengSettings, selection: Selection) -> Clips:
    """Clips of which a step takes some frames and maps; those without any are zeros (ours)."""
    model, train = settings.model, settings.train
    wanted = {
        name: (feature, count)
        for name, feature, count in (
            (FACES, _feature(settings, "vnet"), model.frames),
            (MAPS, _feature(settings, "anet"), model.maps),
        )
        if feature in selection.features
    }

    def sampler(view: ClipView, rng: np.random.Generator | None) -> dict[str, NDArray[np.generic]]:
        if rng is None and model.test_frames == "random":
            rng = np.random.default_rng([train.seed, view.number])
        made = {}
        for name, (feature, count) in wanted.items():
            rows = np.flatnonzero(view.valid(feature))
            if len(rows):
                values = view.take(feature, rows[moments(len(rows), count, rng)])
            else:
                spec = view.spec(feature)
                values = np.zeros((count, *spec.dims), spec.dtype)
            made[name] = values[None]
        return made

    return Clips(selection, sampler, mode=train.mode)


def _feature(settings: PengSettings, part: str) -> str:
    model = settings.model
    if part == "anet":
        return model.maps_feature
    return model.faces_feature or ("sphereface" if model.vnet == "features" else "face_112x96")


def _last(settings: PengSettings) -> Stage:
    part = settings.model.part
    return "joint" if part == "all" else part


def _held(folder: Path) -> Path:
    return folder / WEIGHTS


def _of(settings: Settings) -> PengSettings:
    return cast(PengSettings, settings)


RECIPE = Peng2018()
