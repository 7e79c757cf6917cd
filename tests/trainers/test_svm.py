"""The support vector machine kept as arrays decides as scikit-learn's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

from tests.trainers.trainer_kit import made_store
from trainers.errors import CheckpointDamaged, NothingToTrain
from trainers.loop import Progress
from trainers.models.svm import GRID, Point, by_sklearn, fit_machine, pair_values
from trainers.models.svm_torch import by_torch
from trainers.recipes.guo2018_svm import Guo2018Svm
from trainers.run import RunConfig, open_run, start
from trainers.settings import parse


def blobs(
    count: int, classes: int, columns: int = 7
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    labels = np.arange(count) % classes
    rows = rng.normal(0, 1, (count, columns))
    rows[np.arange(count), labels] += 1.5
    return rows, labels


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("point", [Point("linear", 0.3), Point("rbf", 2.0, 1.5)])
def test_decisions_equal_those_of_scikit_learn(point: Point, classes: int) -> None:
    rows, labels = blobs(80, classes)
    machine, shares = fit_machine(rows, labels, classes, grid=[point])
    reference = SVC(C=point.c, kernel=point.kernel, gamma=point.gamma / 7)
    reference.break_ties = classes > 2  # as our argmax does
    reference.fit(rows, labels)
    others = np.random.default_rng(2).normal(0, 2, (50, 7))
    found = machine.decide(others)
    if classes > 2:
        np.testing.assert_allclose(found, reference.decision_function(others), atol=1e-3)
    assert (found.argmax(1) == reference.predict(others)).mean() == 1
    assert shares[point] > 1.5 / classes
    p = machine.probabilities(others)
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == found.argmax(1)).mean() > 0.8


@pytest.mark.parametrize("classes", [2, 4])
def test_torch_decides_as_scikit_learn_does_at_every_point_of_the_grid(classes: int) -> None:
    rows, labels = blobs(90, classes, 30)
    labels[:6] = (labels[:6] + 1) % classes  # some rows can't be told apart
    others = np.random.default_rng(2).normal(0, 1, (50, 30))
    for point in GRID:
        gamma = point.gamma / rows.shape[1]
        own, new = (
            pairwise_kernels(x, rows, metric=point.kernel, filter_params=True, gamma=gamma)
            for x in (rows, others)
        )
        found = by_torch(torch.device("cpu"))(own, labels, classes, [point.c])[0]
        pairs = pair_values(
            new[:, found.support], found.coefficients, found.intercept, found.counts
        )
        reference = SVC(C=point.c, kernel="precomputed", decision_function_shape="ovo")
        wanted = reference.fit(own, labels).decision_function(new)
        wanted = wanted if classes > 2 else -wanted[:, None]
        assert np.abs(pairs - wanted).max() < 1e-3, point
        np.testing.assert_array_equal(found.support, reference.support_)
        assert found.coefficients.shape == (classes - 1, found.counts.sum())


def test_both_solvers_choose_and_decide_alike() -> None:
    rows, labels = blobs(60, 3)
    grid = [Point("linear", 0.1), Point("rbf", 1.0, 1.0), Point("rbf", 10.0, 1.0)]
    found = [
        fit_machine(rows, labels, 3, grid=grid, solver=solver)
        for solver in (by_sklearn, by_torch(torch.device("cpu")))
    ]
    (first, shares), (second, others) = found
    assert shares == others
    assert list(shares) == grid
    assert first.point == second.point
    new = np.random.default_rng(3).normal(0, 1, (40, 7))
    assert np.abs(first.decide(new) - second.decide(new)).max() < 1e-3
    assert np.abs(first.probabilities(new) - second.probabilities(new)).max() < 1e-3


def test_the_grid_takes_the_best_point_and_needs_every_class() -> None:
    rows, labels = blobs(60, 3)
    grid = [Point("rbf", 1.0, 1e4), Point("linear", 0.1)]
    machine, shares = fit_machine(
        rows, labels, 3, grid=grid, groups=labels * 0 + np.arange(60) // 2
    )
    assert machine.point == grid[1] == max(shares, key=lambda p: shares[p])
    with pytest.raises(NothingToTrain, match="smallest class has 0"):
        fit_machine(rows, labels, 4, grid=grid)


def test_classes_that_are_too_rare_to_learn_are_never_predicted_and_the_rest_is(
    tmp_path: Path,
) -> None:
    store = made_store(tmp_path / "store", clips=36, rows=3)
    table = store.clips("c").to_pylist()
    happy = [r["clip"] for r in table if r["label.emotion"] == "happy" and r["split"] == "train"]
    rows = [{**r, "label.emotion": None} if r["clip"] in happy[1:] else r for r in table]
    store.upsert_clips("c", pa.Table.from_pylist(rows, schema=store.clips("c").schema))
    made = Guo2018Svm()
    settings = parse(made.kind, ["train.folds=3"])
    config = RunConfig(made.name, store.root, "c", settings.model_dump(), ("opensmile_is10",))
    recipe, context = start(config, tmp_path / "run", Progress())
    outcome = recipe.train(context)
    assert any("fewer than 2 clips: happy" in note for note in outcome.notes)
    assert outcome.metrics["accuracy"] >= 0.5
    found = recipe.predict(context, "val")
    assert {row[1] for row in found.rows} == {"angry", "sad"}
    assert {row[found.columns.index("happy")] for row in found.rows} == {"0.000000"}
    (tmp_path / "run" / "model.json").write_text("{")
    with pytest.raises(CheckpointDamaged, match=r"model.json is damaged .*train again"):
        recipe.predict(context, "val")
    only = [{**r, "label.emotion": "sad"} if r["split"] == "train" else r for r in table]
    store.upsert_clips("c", pa.Table.from_pylist(only, schema=store.clips("c").schema))
    recipe, context = start(config, tmp_path / "one", Progress())
    with pytest.raises(NothingToTrain, match="fewer than two classes have 2 clips"):
        recipe.train(context)


def test_the_recipe_learns_emotions_and_the_control_does_not(tmp_path: Path) -> None:
    root = made_store(tmp_path / "store", clips=36, rows=3).root
    made = Guo2018Svm()
    found = {}
    chosen = (("real", ()), ("control", ("train.shuffle_labels=true",)))
    for name, texts in (*chosen, ("torch", ("train.solver=torch",))):
        settings = parse(made.kind, ["train.folds=3", *texts])
        config = RunConfig(made.name, root, "c", settings.model_dump(), ("opensmile_is10",))
        recipe, context = start(config, tmp_path / name, Progress())
        found[name] = recipe.train(context).metrics["accuracy"]
    assert found["real"] == found["torch"] >= 2 / 3 > found["control"]
    # the classes that are predicted are those that are scored, however bad the model is
    for name, score in found.items():
        recipe, context, _ = open_run(tmp_path / name, Progress())
        table = recipe.predict(context, "val")
        assert table.columns == ("clip", "class", "angry", "happy", "sad")
        assert len(table.rows) == 12
        assert recipe.evaluate(context, "val")["accuracy"] == score
        right = sum(
            row[1] == ("angry", "happy", "sad")[int(str(row[0])[-2:]) % 3] for row in table.rows
        )
        assert right / 12 == pytest.approx(score)
