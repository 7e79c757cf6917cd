"""Guo et al. 2018: five models of faces and sound, one emotion per clip, and their fusion."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.catalogue import counted
from storage.clips import LABEL, is_listed
from trainers.errors import NothingToTrain, RunMismatch, WrongSetting
from trainers.files import held_facts, made_folder, publish
from trainers.fusion import fuse, weighted
from trainers.guo2018 import fer
from trainers.guo2018.machine import svm_shares, train_svm
from trainers.guo2018.networks import MAP_WEIGHTS, networks
from trainers.guo2018.settings import GuoSettings, of
from trainers.guo2018.stages import Fitted, Floats, need_clips, part_shares, train_part
from trainers.listing import BUILT_IN
from trainers.metrics import accuracy, confusion_matrix, macro_f1, uar
from trainers.recipe import Context, Outcome, Predictions, Read
from trainers.settings import Settings
from trainers.targets import class_names, class_place

#: what is known after training: classes, fusion weights, epochs
FACTS = "guo2018.json"
#: folder of the parts that are trained again on train + val
REFIT = "refit"
TUNED = "fusion weights are chosen on the validation split, so its fused figure is optimistic"


class Guo2018:
    """Models a to e, each trained in its own stages, and fusion by weights on the simplex."""

    name: ClassVar[str] = "guo2018"
    title: ClassVar[str] = BUILT_IN["guo2018"].title
    source: ClassVar[str] = BUILT_IN["guo2018"].source
    published: ClassVar[tuple[str, ...]] = (
        "validation accuracy % on AFEW: faces 49.61 · provided 46.74 · both 51.02 · svm 35.51 · "
        "shortterm 26.63 · maps 26.63 · all 55.61 · baseline 38.81",
        "test accuracy 51.15 % · UAR 41.21 %; validation UAR %: faces 46.66 · provided 43.17 · "
        "svm 31.97 · shortterm 23.27 · maps 23.14",
    )
    kind: ClassVar[type[Settings]] = GuoSettings

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """Of all parts, each once."""
        found: dict[str, str] = {}
        for part, names in _features(of(settings)).items():
            for name in names:
                found.setdefault(name, part)
        for name, part in found.items():
            if name not in known:
                raise WrongSetting(
                    f"model.parts: {part} reads {name}, which can't be extracted here (affectstore "
                    "features list says why) and isn't published; leave the part out"
                )
        return tuple(found)

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """One label of words or whole numbers per clip."""
        return (of(settings).model.label,)

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """VGG-Face and BN-Inception, where a part starts from them."""
        model = of(settings).model
        if not model.pretrained:
            return ()
        faces = fer.WEIGHTS if {"faces", "provided"} & set(model.parts) else ""
        maps = MAP_WEIGHTS if "maps" in model.parts else ""
        return tuple(filter(None, (faces, maps)))

    def reads(self, context: Context) -> tuple[Read, ...]:
        """Both splits of the corpus, and FER-2013 where it is there."""
        settings = of(context.settings)
        train, label = settings.train, settings.model.label
        splits = (train.split, train.val_split)
        own = Read(context.corpus, context.features, (label,), splits, context.variant)
        if not train.fer_corpus or not {"faces", "provided"} & set(settings.model.parts):
            return (own,)
        return (own, Read(train.fer_corpus, (fer.FEATURE,), (fer.LABEL,), fer.SPLITS))

    def train(self, context: Context) -> Outcome:
        """All parts, then the fusion weights; again on train + val, for other splits."""
        settings = of(context.settings)
        train = settings.train
        names = class_names(context.store, context.corpus, settings.model.label)
        # what is lacking is said before a part has learned for hours
        wanted = _wanted(context, train.val_split, names)
        clips = [clip for clip, place in wanted.items() if place is not None]
        if not clips:
            raise NothingToTrain(
                f"no clip of {train.val_split} has the label {settings.model.label}; "
                "train.val_split chooses another split"
            )
        for made in networks(settings).values():
            need_clips(made, context, (train.split,))
        fitted = {
            part: _train(context, part, context.folder / part, (train.split,), names, None)
            for part in sorted(settings.model.parts, key=lambda part: part != "svm")
        }
        classes = np.array([wanted[clip] for clip in clips], np.int64)
        shares, notes = _stacked(context, context.folder, train.val_split, clips, names)
        metrics: dict[str, float] = {}
        for part, values in zip(settings.model.parts, shares, strict=True):
            metrics |= {f"{k}_{part}": v for k, v in _scores(values, classes).items()}
        fused = fuse(shares, classes, train.fusion_step)
        metrics = {**_scores(weighted(shares, fused.weights), classes), **metrics}
        weights = dict(zip(settings.model.parts, fused.weights.tolist(), strict=True))
        facts = {"classes": names, "weights": weights}
        publish(context.folder / FACTS, json.dumps(facts, indent=2) + "\n")
        if train.refit:
            both = (train.split, train.val_split)
            for part in settings.model.parts:
                folder = context.folder / REFIT / part
                _train(context, part, folder, both, names, fitted[part].epochs)
        several = len(weights) > 1
        notes = [n for f in fitted.values() for n in f.notes] + notes + [TUNED] * several
        context.say(notes)
        alone = fitted[settings.model.parts[0]].history
        details: dict[str, object] = {"epochs": {p: dict(f.epochs) for p, f in fitted.items()}}
        if several:
            details |= {"fusion weights": weights, "points tried": fused.tried}
        return Outcome(
            metrics,
            [] if several else alone,
            notes,
            parameters=sum(f.parameters for f in fitted.values()),
            details=details,
        )

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """Accuracy, UAR and macro F1 of the split's labelled clips, fused and of each part.

        Splits that were learned from or tuned on are scored by the first models, others by those
        refitted on train + val.
        """
        names, _ = _facts(context)
        wanted = _wanted(context, split, names)
        clips = [clip for clip, place in wanted.items() if place is not None]
        if not clips:
            raise NothingToTrain(f"no clip of {split} has the label that is learned")
        classes = np.array([wanted[clip] for clip in clips], np.int64)
        shares, notes = self._shares(context, split, clips)
        if len(clips) < len(wanted):
            notes.append(f"{counted(len(wanted) - len(clips), 'clip')} to score without a label")
        context.say(notes)
        metrics = _scores(self._fused(context, shares), classes)
        for part, values in zip(of(context.settings).model.parts, shares, strict=True):
            metrics |= {f"{k}_{part}": v for k, v in _scores(values, classes).items()}
        return metrics

    def predict(self, context: Context, split: str | None) -> Predictions:
        """Clip, its class, and each class's probability."""
        names, _ = _facts(context)
        splits = _splits(context) if split is None else [split]
        rows: list[tuple[object, ...]] = []
        notes: list[str] = []
        for each in splits:
            clips = [str(row["clip"]) for row in _rows(context, each)]
            shares, lacking = self._shares(context, each, clips)
            notes += lacking
            for clip, share in zip(clips, self._fused(context, shares), strict=True):
                shown = tuple(f"{p:.6f}" for p in share.tolist())
                rows.append((clip, names[int(share.argmax())], *shown))
        return Predictions(("clip", "class", *names), rows, notes)

    def _shares(
        self, context: Context, split: str | None, clips: Sequence[str]
    ) -> tuple[Floats, list[str]]:
        train = of(context.settings).train
        refitted = train.refit and split not in (train.split, train.val_split)
        folder = context.folder / REFIT if refitted else context.folder
        names, _ = _facts(context)
        return _stacked(context, folder, split, clips, names)

    def _fused(self, context: Context, shares: Floats) -> Floats:
        _, weights = _facts(context)
        parts = of(context.settings).model.parts
        return weighted(shares, np.array([weights[part] for part in parts]))


def _features(settings: GuoSettings) -> dict[str, tuple[str, ...]]:
    """Part -> what it reads, in the paper's order."""
    known = {part: made.features for part, made in networks(settings).items()}
    known["svm"] = (settings.model.audio,)
    return {part: known[part] for part in settings.model.parts}


def _train(
    context: Context,
    part: str,
    folder: Path,
    splits: Sequence[str],
    names: Sequence[str],
    epochs: Mapping[str, int] | None,
) -> Fitted:
    made_folder(folder)
    if part == "svm":
        return train_svm(context, folder, splits)
    made = networks(of(context.settings))[part]
    return train_part(made, context, folder, splits, names, epochs)


def _stacked(
    context: Context, folder: Path, split: str | None, clips: Sequence[str], names: Sequence[str]
) -> tuple[Floats, list[str]]:
    """Probabilities ``(parts, clips, classes)``; equal ones where a part knows nothing (ours)."""
    settings = of(context.settings)
    made, notes = networks(settings), []
    shares = np.full((len(settings.model.parts), len(clips), len(names)), 1 / len(names))
    for row, part in enumerate(settings.model.parts):
        if part == "svm":
            found = svm_shares(context, folder / part, split)
        else:
            found = part_shares(made[part], context, folder / part, split, names)
        for column, clip in enumerate(clips):
            if clip in found:
                shares[row, column] = found[clip]
        where = split or "no split"
        lacking = len(clips) - sum(clip in found for clip in clips)
        if lacking:
            notes.append(
                f"{part} says nothing of {counted(lacking, 'clip')} of {where}: equal probabilities"
            )
    return shares, notes


def _scores(shares: Floats, classes: NDArray[np.int64]) -> dict[str, float]:
    matrix = confusion_matrix(shares.argmax(1), classes, shares.shape[1])
    return {"accuracy": accuracy(matrix), "uar": uar(matrix), "macro_f1": macro_f1(matrix)}


def _rows(context: Context, split: str | None) -> list[dict[str, Any]]:
    """The split's clips (None: those of no split), in order.

    Raises:
        NothingToTrain: there are none.
    """
    rows = [r for r in _every(context) if r["split"] == split]
    if not rows:
        known = ", ".join(str(s) for s in _splits(context) if s is not None) or "none"
        raise NothingToTrain(f"{context.corpus} has no split {split!r}; there are: {known}")
    return sorted(rows, key=lambda row: str(row["clip"]))


def _every(context: Context) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = context.store.clips(context.corpus).to_pylist()
    return [row for row in rows if is_listed(row)]


def _splits(context: Context) -> list[str | None]:
    """In order; None comes last, where clips are of no split."""
    found = {row["split"] for row in _every(context)}
    return [*sorted(found - {None}), *({None} & found)]


def _wanted(context: Context, split: str, names: Sequence[str]) -> dict[str, int | None]:
    """Clip of the split -> position of its class, None where unlabelled; in order of clip."""
    label = of(context.settings).model.label
    return {
        str(row["clip"]): class_place(row.get(LABEL + label), label, names)
        for row in _rows(context, split)
    }


def _facts(context: Context) -> tuple[list[str], dict[str, float]]:
    path = context.folder / FACTS
    if not path.is_file():
        raise RunMismatch(f"{path} isn't there; train first: affectstore train guo2018 …")
    held = held_facts(path)
    return held["classes"], held["weights"]


RECIPE = Guo2018()
