"""Kuhnke et al. 2020: two streams, three tasks: valence and arousal, expressions, action units."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from features.nets.tsav import STREAMS, TwoStream
from storage.errors import NotPublished
from storage.selection import TIMELINE, Selection, select_clips
from trainers.abaw.chosen import FACE, PROVIDED, view_of, ways_of
from trainers.abaw.frames import Frames, labelled_frames
from trainers.abaw.labels import (
    MARKS,
    SPLITS,
    TASKS,
    LabelReader,
    counted,
    labels_of,
    of_other_clips,
)
from trainers.abaw.samples import Samples
from trainers.abaw.scores import decided
from trainers.abaw.settings import KuhnkeSettings, Train
from trainers.abaw.start import AURAL, RELEASED, VISUAL, begin_public, begin_released
from trainers.abaw.task import AbawTask, Ways, outputs_of, score_frames, steps_of
from trainers.checkpoint import State
from trainers.device import find_device
from trainers.errors import NothingToTrain, RunMismatch, WrongTrainDevice
from trainers.files import held_tensors, publish_tensors
from trainers.frame_rows import ClipFrames, FrameRows
from trainers.listing import BUILT_IN
from trainers.loop import fit
from trainers.recipe import Context, Outcome, Predictions, Read, Sheet
from trainers.settings import Settings, TrainSettings

#: what Aff-Wild2 calls its expressions, in its order; the eighth since ABAW3
EXPRESSIONS = (
    *("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
    "Other",
)
MOST_EXPRESSIONS = len(EXPRESSIONS)
WEIGHTS, REFITTED = "model.safetensors", "refitted.safetensors"

Set = tuple[Samples, Frames]


class Kuhnke2020:
    """The two-stream network and its ablations."""

    name: ClassVar[str] = "kuhnke2020"
    title: ClassVar[str] = BUILT_IN["kuhnke2020"].title
    source: ClassVar[str] = BUILT_IN["kuhnke2020"].source
    published: ClassVar[tuple[str, ...]] = (
        "Aff-Wild2 validation: valence .493, arousal .613, mean .553 · EX .546 · AU .587 · "
        "score .561",
        "score without mask .532 · provided alignment, no mask .537 · visual only .536 · aural "
        "only .420",
        "score with filter and pseudo V, A, EX .508 · no filter, pseudo V .551 · filter, no "
        "pseudo .537 · neither .530",
        "test: valence .45, arousal .41 · EX F1 .40, accuracy .70, criterion .50 · AU F1 .27, "
        "accuracy .93, criterion .60",
    )
    kind: ClassVar[type[Settings]] = KuhnkeSettings

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """The clips' clocks, faces, masks, sound."""
        view = view_of(_of(settings))
        read = (TIMELINE, view.face, view.mask, view.sound)
        return tuple(name for name in read if name is not None)

    def extractor_settings(self, settings: Settings) -> tuple[str, ...]:
        """Faces are aligned by the 68 landmarks, as their masks are."""
        face = view_of(_of(settings)).face
        return (f"{FACE}.points=landmarks_68",) if face == FACE else ()

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """Of every frame; a corpus need not have them all."""
        return ("valence", "arousal", "expression", *_of(settings).model.units)

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """Public weights of the streams that are there, or the authors' own."""
        model = _of(settings).model
        if model.released:
            return (RELEASED,)
        if model.start == "scratch" or model.scale != 1:
            return ()
        streams = {"visual": (VISUAL,), "aural": (AURAL,), "both": (VISUAL, AURAL)}
        return streams[model.streams]

    def reads(self, context: Context) -> tuple[Read, ...]:
        """Labels that tell what to leave out, and each task's splits, too."""
        train = _of(context.settings).train
        labels = (*self.labels(context.settings), *MARKS, *SPLITS.values())
        splits = (train.split, train.val_split)
        return (Read(context.corpus, context.features, labels, splits, context.variant),)

    def train(self, context: Context) -> Outcome:
        """Train, keep the epoch with the best mean criterion; then, if asked, train and val.

        Raises:
            WrongTrainDevice: in bfloat16 on the CPU.
        """
        settings = _of(context.settings)
        train = settings.train
        if train.epochs and settings.model.streams != "aural":
            _need_gradients(train)
        reader, selection = _reader(context), _selection(context)
        notes = [*selection.notes, *_face_notes(selection, settings), *reader.other_units()]
        if train.shuffle_labels:
            notes.append("CONTROL: trained on other clips' labels")
        val = self._scored(context, reader, selection, notes)
        net, begun = self._begun(context)
        notes += begun
        details: dict[str, object] = {}
        state, ways = State(), ways_of(settings, 1)
        if train.epochs:
            first = self._set(context, reader, selection, (train.split,), notes, learn=True)
            context.say(notes)
            ways = ways_of(settings, len(first[1]))
            scored = val and (val[0], val[1].every(train.val_stride))
            task = AbawTask(net, first, scored, train, ways)
            state = fit(task, train, context.folder / "checkpoints", context.progress)
            details["best_epoch"] = state.best_epoch
        else:
            notes.append("nothing is trained: train.epochs=0")
            context.say(notes)
        publish_tensors(context.folder / WEIGHTS, net.state_dict())
        device = find_device(train.device)
        metrics = score_frames(net, *val, ways, device, train.precision) if val else {}
        if _refits(train):
            splits = (train.split, train.val_split)
            both = self._set(context, reader, selection, splits, [], learn=True)
            details["refit_steps"] = self._refit(context, both, ways, state.best_epoch)
        return Outcome(
            metrics=metrics,
            history=state.history,
            notes=notes,
            parameters=sum(p.numel() for p in net.parameters()),
            details=details,
        )

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """The criteria over the labelled frames of the split; nothing is filtered."""
        settings = _of(context.settings)
        reader = _reader(context)
        selection = _selection(context, reader.ids_in((split,)))
        notes = list(selection.notes)
        samples, frames = self._set(context, reader, selection, (split,), notes)
        context.say(notes)
        device, ways = find_device(settings.train.device), ways_of(settings, len(frames))
        net = self._trained(context, split)
        return score_frames(net, samples, frames, ways, device, settings.train.precision)

    def predict(self, context: Context, split: str | None) -> Predictions:
        """Every frame of the clips that are of the split in any task; folders as ABAW's."""
        settings = _of(context.settings)
        reader = _reader(context)
        splits = None if split is None else (split,)
        selection = _selection(context, reader.ids_in(splits))
        clips = reader.clips_in(selection, splits)
        samples = Samples(selection, clips, view_of(settings))
        ways, device = ways_of(settings, 1), find_device(settings.train.device)
        net = self._trained(context, split)
        notes = list(selection.notes)
        if split is None and (context.folder / REFITTED).is_file():
            notes.append("all clips are predicted by the network that learned from train and val")
        answers = []
        for i, clip in enumerate(clips):
            frames, which = np.arange(int(samples.rows[i])), np.full(int(samples.rows[i]), i)
            out = outputs_of(net, samples, which, frames, ways, device, settings.train.precision)
            found = decided(out, ways.expressions, ways.threshold)
            tasks = reader.tasks_in(clip.clip, splits) or TASKS
            given: dict[str, NDArray[np.generic]] = {
                "va": found.va,
                "expr": found.expression[:, None],
                "au": found.units,
            }
            columns = tuple(
                column if task in tasks else None
                for task, values in given.items()
                for column in values.T
            )
            answers.append(ClipFrames(clip.clip, columns, len(frames)))
        units_, classes = settings.model.units, EXPRESSIONS[: settings.model.expressions]
        return Predictions(
            ("clip", "frame", "valence", "arousal", "expression", *units_),
            FrameRows(answers),
            notes,
            {
                "VA_Set": Sheet(("valence", "arousal"), ("valence", "arousal")),
                "EXPR_Set": Sheet(classes, ("expression",)),
                "AU_Set": Sheet(units_, units_),
            },
        )

    def _set(
        self,
        context: Context,
        reader: LabelReader,
        selection: Selection,
        splits: Sequence[str],
        notes: list[str],
        *,
        learn: bool = False,
    ) -> Set:
        """Labelled frames of splits; a clip gives the labels of the tasks in which it is of one."""
        settings = _of(context.settings)
        train, model = settings.train, settings.model
        clips = reader.clips_in(selection, splits)
        samples = Samples(selection, clips, view_of(settings))
        labels = labels_of(reader, clips, samples.rows, splits)
        if learn and train.shuffle_labels:
            labels = of_other_clips(labels, train.seed)
        frames = labelled_frames(labels, model.expressions, clean=learn and train.filter)
        known = ", ".join(f"{task} {n}" for task, n in counted(frames.labels).items())
        where = " + ".join(splits)
        notes.append(f"{where}: {len(clips)} clips, {len(frames)} frames ({known})")
        uneven = reader.uneven(clips, samples.rows, splits)
        if uneven:
            notes.append(f"{where}: {uneven} clips have labels of more or fewer rows than frames")
        beyond = sum(int((one.expression >= model.expressions).sum()) for one in labels)
        if beyond:
            notes.append(
                f"{where}: {beyond} frames have an expression from {model.expressions} on and "
                f"don't count; model.expressions={MOST_EXPRESSIONS} takes all"
            )
        if learn and train.filter:
            notes.append(frames.note())
        if learn and len(frames) < 2:
            raise NothingToTrain("one frame alone can't be learned from; label more")
        return samples, frames

    def _scored(
        self, context: Context, reader: LabelReader, selection: Selection, notes: list[str]
    ) -> Set | None:
        """The validation split; where nothing is trained, there may be none.

        Raises:
            NothingToTrain, NotPublished: it has no labels, or no clips.
        """
        train = _of(context.settings).train
        try:
            return self._set(context, reader, selection, (train.val_split,), notes)
        except (NothingToTrain, NotPublished) as error:
            if train.epochs:
                raise
            notes.append(f"nothing is scored: {error}")
            return None

    def _begun(self, context: Context) -> tuple[TwoStream, list[str]]:
        settings = _of(context.settings)
        torch.manual_seed(settings.train.seed)
        net = _network(settings)
        start = settings.model.start
        if start == "released":
            return net, begin_released(net, context.weights)
        if start == "scratch":
            return net, ["starts from scratch"]
        if settings.model.scale != 1:
            return net, ["starts from scratch: public weights are of model.scale=1"]
        return net, begin_public(net, context.weights)

    def _refit(self, context: Context, both: Set, ways: Ways, best: int) -> int:
        """Train anew on both splits, for longer; the last weights are kept. Steps it took."""
        settings = _of(context.settings).train
        per_epoch = steps_of(ways.epoch_frames, settings)
        steps = math.ceil(settings.refit_share * best * per_epoch)
        context.progress.say(f"train and val together: {steps} steps")
        update = {"epochs": -(-steps // per_epoch), "patience": 0}
        net, _ = self._begun(context)
        task = AbawTask(net, both, None, settings, ways, steps)
        longer = settings.model_copy(update=update)
        fit(task, longer, context.folder / "refit" / "checkpoints", context.progress)
        publish_tensors(context.folder / REFITTED, net.state_dict())
        return steps

    def _trained(self, context: Context, split: str | None) -> TwoStream:
        """The network for a split: what was refitted has seen the validation split."""
        settings = _of(context.settings)
        refitted = context.folder / REFITTED
        seen = split in (settings.train.split, settings.train.val_split)
        path = refitted if refitted.is_file() and not seen else context.folder / WEIGHTS
        if _refits(settings.train) and not refitted.is_file() and not seen:
            context.progress.say(
                "training on train and val together isn't finished (the same command goes on): "
                "the network that learned from train alone is asked"
            )
        if not path.is_file():
            raise RunMismatch(f"{path} isn't there; train first: affectstore train {self.name} …")
        net = _network(settings)
        net.load_state_dict(held_tensors(path))
        return net.to(find_device(settings.train.device))


def _network(settings: KuhnkeSettings) -> TwoStream:
    model = settings.model
    streams = STREAMS if model.streams == "both" else (model.streams,)
    outputs = model.expressions + 2 + len(model.units)
    return TwoStream(4 if model.mask else 3, outputs, streams, model.scale)


def _refits(train: Train) -> bool:
    """A second network learns from train and val; of a control there is none."""
    return bool(train.refit and train.epochs) and not train.shuffle_labels


def _reader(context: Context) -> LabelReader:
    units = _of(context.settings).model.units
    return LabelReader(context.store, context.corpus, units)


def _selection(context: Context, clips: Sequence[str] | None = None) -> Selection:
    """Those of the clips (None: of all splits) that have the features."""
    return select_clips(
        context.store, context.features, context.corpus, clips=clips, variant=context.variant
    )


def _face_notes(selection: Selection, settings: KuhnkeSettings) -> Iterator[str]:
    """How many frames have a face.

    Raises:
        NothingToTrain: none has.
    """
    face = view_of(settings).face
    if face is None:
        return
    results = [clip.results[face] for clip in selection.clips]
    found = sum(r.valid_share * r.rows for r in results) / sum(r.rows for r in results)
    if not found:
        raise NothingToTrain(
            f"no frame of {len(results)} clips has a face ({face})"
            + ("; ingest found no folder cropped_aligned" if face == PROVIDED else "")
        )
    yield f"{found:.1%} of the frames have a face; the others are black"


def _need_gradients(train: TrainSettings) -> None:
    """Refuse bfloat16 on the CPU: there torch leaves gaps in 3D convolutions' gradients (2.13)."""
    if train.precision == "bf16" and find_device(train.device).type == "cpu":
        raise WrongTrainDevice(
            "train.precision=bf16: on the CPU torch's gradients of 3D convolutions are wrong in "
            "it; use train.precision=fp32, or train on a GPU"
        )


def _of(settings: Settings) -> KuhnkeSettings:
    return cast(KuhnkeSettings, settings)


RECIPE = Kuhnke2020()
