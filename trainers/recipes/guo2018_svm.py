"""Guo et al. 2018, model c: a support vector machine on openSMILE's 1582 functionals."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from storage.clips import is_listed
from storage.statistics import feature_statistics
from storage.training import ClipTable
from trainers.control import told_by, unlike
from trainers.device import find_device
from trainers.dims import need_dims
from trainers.errors import RunMismatch
from trainers.files import (
    held_facts,
    held_tensors,
    made_folder,
    publish,
    publish_tensors,
)
from trainers.listing import BUILT_IN
from trainers.metrics import accuracy, confusion_matrix, macro_f1, uar
from trainers.models.scaling import ZScore
from trainers.models.svm import GRID, Machine, Point, Solver, by_sklearn, calibrated, fit_machine
from trainers.models.svm_torch import by_torch
from trainers.recipe import Context, Outcome, Predictions
from trainers.recipes.guo2018_svm_rows import labelled, learnable, notes_of, subjects_of
from trainers.settings import ModelSettings, Settings, TrainSettings
from trainers.targets import class_names

#: joins the names of two splits that are learned from at once, in ``train.split``
JOINS = "+"
MODEL, MODEL_FACTS = "model.safetensors", "model.json"

Floats = NDArray[np.float64]


class Train(TrainSettings):
    """Of these settings splits, seed, device and the control count; the machine has no epochs."""

    folds: int = Field(default=5, ge=2, description="of the grid's cross-validation (ours)")
    solver: Literal["auto", "sklearn", "torch"] = Field(
        default="auto", description="of the machines; auto: torch on a GPU, else sklearn"
    )


class Model(ModelSettings):
    """What is classified, from what."""

    audio: str = Field(default="opensmile_is10", description="clip feature that is classified")
    label: str = Field(default="emotion", description="clip label with the classes")
    kernel: Literal["both", "linear", "rbf"] = Field(
        default="both", description="kernels of the grid"
    )


class SvmSettings(Settings):
    """``train.*`` and ``model.*`` of this recipe."""

    train: Train = Train()
    model: Model = Model()


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run's folder holds.

    Attributes:
        names: of the corpus's classes; learned: positions of those that the machine knows.
    """

    machine: Machine
    scaling: ZScore
    names: tuple[str, ...]
    learned: NDArray[np.int64]


class Guo2018Svm:
    """Standardised functionals, linear and RBF kernels by a cross-validated grid (ours)."""

    name: ClassVar[str] = "guo2018_svm"
    title: ClassVar[str] = BUILT_IN["guo2018_svm"].title
    source: ClassVar[str] = BUILT_IN["guo2018_svm"].source
    published: ClassVar[tuple[str, ...]] = (
        "validation accuracy on AFEW: 35.51 % · UAR 31.97 % · challenge baseline 38.81 %",
    )
    kind: ClassVar[type[Settings]] = SvmSettings

    def features(self, settings: Settings, known: Collection[str]) -> tuple[str, ...]:
        """One feature of rate clip."""
        return (_of(settings).model.audio,)

    def labels(self, settings: Settings) -> tuple[str, ...]:
        """One label of words or whole numbers per clip."""
        return (_of(settings).model.label,)

    def pretrained(self, settings: Settings) -> tuple[str, ...]:
        """None."""
        return ()

    def train(self, context: Context) -> Outcome:
        """Choose kernel and parameters by cross-validation on the training split."""
        settings = _of(context.settings)
        table = self._table(context, settings.train.split)
        names = class_names(context.store, context.corpus, settings.model.label)
        model = settings.model
        found = labelled(table, model.audio, model.label, names, settings.train.split)
        rows, classes = found.rows, found.classes
        statistics = feature_statistics(table.selection, settings.model.audio)
        scaling = ZScore(rows.shape[1:], statistics)
        scaled = _scaled(scaling, rows)
        notes = list(found.notes)
        if settings.train.shuffle_labels:
            told = told_by(classes, len(names))
            order = unlike(told, np.random.default_rng([settings.train.seed, 99]))
            classes = classes[order]
            notes.append("CONTROL: trained on other clips' labels")
        learned = learnable(classes, names, notes)
        kept = np.isin(classes, learned)
        subjects = subjects_of(table, found.good, notes)
        context.say(notes)
        more: list[str] = []
        wanted = settings.model.kernel
        grid = [p for p in GRID if wanted in ("both", p.kernel)]
        context.progress.epoch(1, 1, len(grid))
        machine, shares = fit_machine(
            scaled[kept],
            np.searchsorted(learned, classes[kept]),
            len(learned),
            groups=None if subjects is None else subjects[kept],
            grid=grid,
            folds=settings.train.folds,
            seed=settings.train.seed,
            solver=_solver(settings.train),
            told=lambda point, share: context.progress.batch(1 - share),
            noted=more.append,
            names=[names[c] for c in learned.tolist()],
        )
        made_folder(context.folder)
        arrays = machine.arrays() | {
            "mean": scaling.mean.numpy(),
            "scale": scaling.scale.numpy(),
        }
        publish_tensors(context.folder / MODEL, {k: torch.as_tensor(v) for k, v in arrays.items()})
        facts = {"point": vars(machine.point), "classes": names, "learned": learned.tolist()}
        # they come last: a folder that has them is whole
        publish(context.folder / MODEL_FACTS, json.dumps(facts))
        metrics, lacking = self._scored(context, settings.train.val_split)
        more += [note for note in lacking if note not in notes]
        context.say(more)
        history = [{"c": p.c, "gamma": p.gamma, "cv_accuracy": s} for p, s in shares.items()]
        context.progress.epoch_done({"epoch": 1, **metrics})
        return Outcome(
            metrics,
            history,
            [*notes, *more],
            parameters=machine.coefficients.size + machine.intercept.size,
            details={"chosen": str(machine.point), "support_vectors": len(machine.support)},
        )

    def evaluate(self, context: Context, split: str) -> Mapping[str, float]:
        """Accuracy, UAR and macro F1 of the split's labelled clips."""
        metrics, notes = self._scored(context, split)
        context.say(notes)
        return metrics

    def predict(self, context: Context, split: str | None) -> Predictions:
        """Clip, its class, and each class's probability; clips without sound are left empty.

        The class is the machine's own decision, as it is scored; of clips that it isn't sure of,
        the probabilities may name another one.
        """
        names, values, shares, notes = self._answers(context, split)
        found: list[tuple[object, ...]] = []
        for (clip, value), share in zip(values.items(), shares, strict=True):
            if value is None:
                found.append((clip, "", *("" for _ in names)))
            else:
                shown = tuple(f"{p:.6f}" for p in share.tolist())
                found.append((clip, names[int(value.argmax())], *shown))
        return Predictions(("clip", "class", *names), found, notes)

    def shares(
        self, context: Context, split: str | None
    ) -> tuple[tuple[str, ...], dict[str, Floats | None]]:
        """The classes, and clip -> their probabilities, None without sound."""
        names, values, shares, _ = self._answers(context, split)
        return names, {
            clip: None if value is None else share
            for (clip, value), share in zip(values.items(), shares, strict=True)
        }

    def _answers(
        self, context: Context, split: str | None
    ) -> tuple[tuple[str, ...], dict[str, Floats | None], Floats, list[str]]:
        """The classes; clip -> decision values, None without sound; probabilities per clip; notes.

        Classes that weren't learned have the value -inf and the probability 0.
        """
        table = self._table(context, split, labelled=False)
        feature = _of(context.settings).model.audio
        made = self.trained(context)
        rows = _scaled(made.scaling, np.asarray(table.values[feature], np.float64))
        decided = made.machine.decide(rows)
        values = np.full((len(rows), len(made.names)), -np.inf)
        values[:, made.learned] = decided
        shares = np.zeros_like(values)
        shares[:, made.learned] = calibrated(decided, made.machine.platt)
        clips, valid = table.selection.clips, table.valid[feature].tolist()
        given = {
            clip.clip: value if good else None
            for clip, value, good in zip(clips, values, valid, strict=True)
        }
        return made.names, given, shares, notes_of(table, feature, split)

    def _table(self, context: Context, split: str | None, *, labelled: bool = True) -> ClipTable:
        settings = _of(context.settings).model
        labels = (settings.label,) if labelled else ()
        clips, one = None, split
        if split is not None and JOINS in split:
            # two splits learned from at once
            wanted = split.split(JOINS)
            rows = context.store.clips(context.corpus).to_pylist()
            clips = [r["clip"] for r in rows if is_listed(r) and r["split"] in wanted]
            one = None
        found = context.store.clip_rows(
            context.features, context.corpus, one, labels=labels, clips=clips,
            variant=context.variant,
        )  # fmt: skip
        need_dims(found.selection, settings.audio, (None,), "the SVM")
        return found

    def _scored(self, context: Context, split: str) -> tuple[dict[str, float], Sequence[str]]:
        """Metrics of a split, and what must be known to judge them."""
        made = self.trained(context)
        model = _of(context.settings).model
        held = labelled(self._table(context, split), model.audio, model.label, made.names, split)
        values = made.machine.decide(_scaled(made.scaling, held.rows))
        matrix = confusion_matrix(made.learned[values.argmax(1)], held.classes, len(made.names))
        metrics = {"accuracy": accuracy(matrix), "uar": uar(matrix), "macro_f1": macro_f1(matrix)}
        return metrics, held.notes

    def trained(self, context: Context) -> Trained:
        """The machine that ``train`` left, its scaling, and the classes.

        Raises:
            RunMismatch: there is none.
        """
        path = context.folder / MODEL
        if not path.is_file():
            raise RunMismatch(f"{path} isn't there; train first: affectstore train {self.name} …")
        arrays = {name: tensor.numpy() for name, tensor in held_tensors(path).items()}
        facts = held_facts(context.folder / MODEL_FACTS)
        scaling = ZScore(arrays["mean"].shape)
        scaling.mean.copy_(torch.from_numpy(arrays.pop("mean")))
        scaling.scale.copy_(torch.from_numpy(arrays.pop("scale")))
        return Trained(
            Machine(Point(**facts["point"]), **arrays),
            scaling,
            tuple(facts["classes"]),
            # runs of an earlier version learned all classes
            np.array(facts.get("learned", range(len(facts["classes"]))), np.int64),
        )


def _solver(train: Train) -> Solver:
    """Scikit-learn, or the same objective in torch on the device."""
    device = find_device(train.device)
    if train.solver == "torch" or (train.solver == "auto" and device.type == "cuda"):
        return by_torch(device)
    return by_sklearn


def _scaled(scaling: ZScore, rows: Floats) -> Floats:
    return np.asarray(scaling(torch.from_numpy(rows)).numpy(), np.float64)


def _of(settings: Settings) -> SvmSettings:
    return cast(SvmSettings, settings)


RECIPE = Guo2018Svm()
