"""Model c of guo2018: the SVM recipe, as a part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainers.guo2018.settings import of
from trainers.guo2018.stages import Fitted, Floats
from trainers.recipe import Context
from trainers.recipes.guo2018_svm import JOINS, MODEL, MODEL_FACTS, Guo2018Svm, SvmSettings
from trainers.recipes.guo2018_svm import Model as SvmModel
from trainers.recipes.guo2018_svm import Train as SvmTrain


def train_svm(context: Context, folder: Path, splits: Sequence[str]) -> Fitted:
    """Choose kernel and parameters by cross-validation; what is finished is not run again."""
    own, made = _own(context, folder, JOINS.join(splits)), Guo2018Svm()
    notes: list[str] = []
    if not all((folder / name).is_file() for name in (MODEL, MODEL_FACTS)):
        context.progress.say(f"svm: {JOINS.join(splits)}")
        notes += made.train(own).notes
    machine = made.trained(own).machine
    parameters = machine.coefficients.size + machine.intercept.size
    return Fitted({}, [], parameters, [*notes, f"svm: {machine.point}"])


def svm_shares(context: Context, folder: Path, split: str | None) -> dict[str, Floats]:
    """Clip -> probabilities of its classes; clips without sound aren't among them."""
    _, shares = Guo2018Svm().shares(_own(context, folder, ""), split)
    return {clip: share for clip, share in shares.items() if share is not None}


def _own(context: Context, folder: Path, split: str) -> Context:
    """The run as the SVM recipe's own, in a folder of its own."""
    settings = of(context.settings)
    train, model = settings.train, settings.model
    own = SvmSettings(
        train=SvmTrain(
            split=split or train.split,
            val_split=train.val_split,
            folds=train.folds,
            solver=train.solver,
            device=train.device,
            seed=train.seed,
            shuffle_labels=train.shuffle_labels,
        ),
        model=SvmModel(audio=model.audio, label=model.label, kernel=model.kernel),
    )
    return Context(
        context.store,
        context.corpus,
        own,
        folder,
        (model.audio,),
        context.variant,
        context.progress,
    )
