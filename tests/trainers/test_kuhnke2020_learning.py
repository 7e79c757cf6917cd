"""kuhnke2020 learns what can be seen and heard, and nothing where labels are other clips'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.flows.test_recipes_cli import run, settings
from tests.trainers.affwild2_kit import make_affwild2
from trainers.abaw.labels import LabelReader, TaskLabels, joined
from trainers.abaw.scores import Decisions, criteria
from trainers.loop import Progress
from trainers.recipe import Context
from trainers.recipes.kuhnke2020 import Kuhnke2020
from trainers.run import open_run

SMALL = (
    "model.scale=0.125",
    "model.side=56",
    "model.frames=2",
    "model.dilation=3",
    "train.batch=16",
    "train.accumulate=1",
    "train.epochs=3",
    # the epoch is chosen by what is learned from: the clips that are scored choose nothing
    "train.val_split=train",
    "train.val_stride=4",
    "train.refit=false",
    "train.threads=1",
)
PERMUTATIONS = 999


def score_and_p(context: Context) -> tuple[float, float]:
    """The score of the validation clips, and how often clips' labels in another order reach it.

    A permutation test over whole clips: frames of a clip resemble each other.
    """
    found = Kuhnke2020().predict(context, "val")
    names = sorted({str(row[0]) for row in found.rows})
    reader = LabelReader(context.store, context.corpus, found.columns[5:])
    predicted, labelled = [], []
    for name in names:
        rows = [row for row in found.rows if row[0] == name]
        values = np.array([[float(str(cell)) for cell in row[2:]] for row in rows])
        va, rest = values[:, :2].astype(np.float32), values[:, 2:].astype(np.int64)
        predicted.append(Decisions(va, rest[:, 0], rest[:, 1:]))
        labelled.append(reader.read(name, len(rows), ("val",)))

    def score(order: list[int]) -> float:
        parts = [_turned(labelled[j], len(predicted[i].va)) for i, j in enumerate(order)]
        every = Decisions(
            np.concatenate([p.va for p in predicted]),
            np.concatenate([p.expression for p in predicted]),
            np.concatenate([p.units for p in predicted]),
        )
        return criteria(every, joined(parts), 7)["score"]

    own = score(list(range(len(names))))
    rng = np.random.default_rng(0)
    others = [score(rng.permutation(len(names)).tolist()) for _ in range(PERMUTATIONS)]
    return own, (1 + sum(other >= own for other in others)) / (1 + PERMUTATIONS)


def _turned(labels: TaskLabels, rows: int) -> TaskLabels:
    """Repeated or cut to another clip's length."""
    return labels.take(np.arange(rows) % len(labels))


@pytest.mark.long
def test_strangers_are_read_better_than_chance_and_not_after_learning_other_labels(
    tmp_path: Path,
) -> None:
    make_affwild2(tmp_path / "data", clips=24, seconds=2.0, pair=False)
    store = ["-s", tmp_path / "store", "-c", "w"]
    run("ingest", tmp_path / "data", "--adapter", "affwild2", *store)
    found = {}
    for name, control in (("real", "false"), ("control", "true")):
        texts = settings(*SMALL, f"train.shuffle_labels={control}")
        run("run-recipe", "kuhnke2020", *store, "--to", tmp_path / name, *texts, "--json")
        _, context, _ = open_run(tmp_path / name, Progress())
        own, p = score_and_p(context)
        assert own == pytest.approx(Kuhnke2020().evaluate(context, "val")["score"], abs=1e-3)
        found[name] = (own, p)
    print(found)
    assert found["real"][1] < 0.01, found
    assert found["control"][1] > 0.01, found
