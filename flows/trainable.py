"""What a corpus lacks to train a recipe: labels, clips of its splits, features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.registry import declarations
from storage.catalogue import counted
from storage.clips import LABEL, is_listed
from storage.errors import NotPublished
from trainers.data import reads_of, splits_of
from trainers.errors import NothingToTrain
from trainers.loop import Progress
from trainers.recipe import Context
from trainers.run import RunConfig, context_of


def check_trainable(config: RunConfig) -> None:
    """Look for what no extraction brings, before hours go into one.

    A corpus needs one of the recipe's labels, and clips of each split that is learned from or
    scored; whether they are enough is the training's to judge.

    Raises:
        NothingToTrain: it has none; the message says what there is.
    """
    made, context = context_of(config, Path(), Progress())
    train = context.settings.train
    table = context.store.clips(config.corpus)
    rows = [row for row in table.to_pylist() if is_listed(row)]
    there = _labels(context, rows)
    wanted = made.labels(context.settings)
    if wanted and there.isdisjoint(wanted):
        raise NothingToTrain(
            f"{config.corpus} has none of the labels that {config.recipe} learns "
            f"({', '.join(wanted)}); it has: {', '.join(sorted(there)) or 'none'} "
            "(ingest again with an adapter or a table that has them)"
        )
    for read in reads_of(made, context):
        columns = [LABEL + name for name in read.labels if LABEL + name in table.column_names]
        splits = set().union(*(splits_of(row, columns) for row in rows))
        for split in read.splits or ():
            # without an epoch nothing is learned, and the other split is scored all the same
            needed = train.epochs or split != train.split
            if read.corpus == config.corpus and needed and split not in splits:
                raise NothingToTrain(
                    f"no clip of {config.corpus} is of the split {split!r}{_choice(context)}"
                )


@contextmanager
def naming_splits(context: Context, split: str | None) -> Iterator[None]:
    """What fails for want of clips names the corpus's splits, if the one asked for is none.

    Raises:
        NothingToTrain: it is none.
    """
    try:
        yield
    except NotPublished as error:
        there = context.store.clips(context.corpus)["split"].to_pylist()
        if split is None or split in there:
            raise
        raise NothingToTrain(f"{error}. Splits are {_splits(context)}; see --split") from error


def remedy(context: Context, config: RunConfig) -> str:
    """What to do where something that is read isn't published; nothing, if all of it is."""
    store, train = context.store, context.settings.train
    listed = [row for row in store.clips(config.corpus).to_pylist() if is_listed(row)]
    there = {row["split"] for row in listed}
    if not {train.split, train.val_split} <= there:
        return _choice(context)
    made = {spec.name for d in declarations().values() for spec in d.outputs}
    published = store.catalogue(config.corpus, columns=["feature", "clip"])
    pairs = set(zip(*(published[name].to_pylist() for name in published.column_names), strict=True))
    lacking = [
        feature
        for feature in config.features
        if feature in made and not all((feature, row["clip"]) in pairs for row in listed)
    ]
    return f"; affectstore run-recipe extracts {', '.join(lacking)}" if lacking else ""


def _choice(context: Context) -> str:
    """Which splits there are, and what chooses them: a sentence that goes on from another."""
    return f". Splits are {_splits(context)}; train.split and train.val_split choose them"


def _splits(context: Context) -> str:
    rows = context.store.clips(context.corpus)["split"].to_pylist()
    counts = {name: rows.count(name) for name in sorted({str(r) for r in rows if r})}
    if not counts:
        return "not given in this corpus"
    return ", ".join(f"{name} ({counted(n, 'clip')})" for name, n in counts.items())


def _labels(context: Context, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Labels of frames that are published, and of clips where any has a value."""
    found = {n for n in context.store.features(context.corpus) if n.startswith(LABEL)}
    found |= {n for row in rows for n, v in row.items() if n.startswith(LABEL) and v is not None}
    return {name.removeprefix(LABEL) for name in found}
