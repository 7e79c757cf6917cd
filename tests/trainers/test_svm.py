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

from tests.trainers.test_checkpoint_loop import Said
from tests.trainers.trainer_kit import made_store
from trainers.errors import CheckpointDamaged, NothingToTrain
from trainers.loop import Progress
from trainers.models.svm import GRID, Point, by_sklearn, calibrated, fit_machine, pair_values
from trainers.models.svm_folds import cut
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
    p = calibrated(found, machine.platt)
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
    found, other = (calibrated(m.decide(new), m.platt) for m in (first, second))
    assert np.abs(found - other).max() < 1e-3


def test_the_grid_takes_the_best_point_and_needs_every_class() -> None:
    rows, labels = blobs(60, 3)
    grid = [Point("rbf", 1.0, 1e4), Point("linear", 0.1)]
    machine, shares = fit_machine(
        rows, labels, 3, grid=grid, groups=labels * 0 + np.arange(60) // 2
    )
    assert machine.point == grid[1] == max(shares, key=lambda p: shares[p])
    with pytest.raises(NothingToTrain, match="smallest class has 0"):
        fit_machine(rows, labels, 4, grid=grid)


def subjects_in_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int = 5
) -> tuple[list[tuple[set[int], set[int]]], list[str]]:
    names = [f"class {c}" for c in range(int(labels.max()) + 1)]
    cuts, notes = cut(labels, len(names), groups, folds, 0, names)
    return [(set(groups[a].tolist()), set(groups[b].tolist())) for a, b in cuts], notes


@pytest.mark.parametrize("people", [2, 3, 4, 7])
def test_nobody_is_on_both_sides_however_few_people_there_are(people: int) -> None:
    labels, groups = np.arange(60) % 2, np.arange(60) // 2 % people
    found, notes = subjects_in_folds(labels, groups)
    assert len(found) == min(5, people)
    assert all(not learn & held for learn, held in found)
    assert notes == []


@pytest.mark.parametrize(
    ("groups", "said"),
    [(np.zeros(20, int), "there is one subject"), (np.arange(20) % 2, "would lack a class")],
)
def test_folds_with_a_subject_on_both_sides_are_told(groups: NDArray[np.int64], said: str) -> None:
    labels = np.arange(20) % 2
    found, notes = subjects_in_folds(labels, groups)
    assert len(found) == 5
    assert any(learn & held for learn, held in found)
    assert len(notes) == 1
    assert said in notes[0]
    assert "subjects are on both sides" in notes[0]
    told: list[str] = []
    rows, _ = blobs(20, 2)
    fit_machine(rows, labels, 2, groups=groups, grid=[Point("linear", 0.1)], noted=told.append)
    assert told == notes


def test_a_class_of_one_subject_alone_gets_a_curve_and_a_note() -> None:
    rows, labels = blobs(60, 3)
    groups = np.where(labels == 2, 9, np.arange(60) // 3 % 5)
    told: list[str] = []
    machine, shares = fit_machine(
        rows, labels, 3, groups=groups, grid=GRID[:3], noted=told.append, names=("a", "b", "rare")
    )
    assert told == [
        "too few subjects have rare, so that no fold holds it out: its probability follows the "
        "other classes' curve"
    ]
    assert np.isfinite(list(shares.values())).all()
    assert machine.platt.shape == (3, 2)
    assert machine.platt[2, 0] > 0  # more certain, more probable
    found = calibrated(machine.decide(rows), machine.platt)
    assert (found.argmax(1) == labels)[labels == 2].mean() > 0.6


def test_two_classes_of_which_one_is_never_held_out_have_curves_too() -> None:
    rows, labels = blobs(40, 2)
    groups = np.where(labels == 1, 9, np.arange(40) // 2 % 4)
    machine, _ = fit_machine(rows, labels, 2, groups=groups, grid=[Point("linear", 0.1)])
    assert np.isfinite(calibrated(machine.decide(rows), machine.platt)).all()


def test_what_is_left_out_and_how_folds_were_made_is_told(tmp_path: Path) -> None:
    store = made_store(tmp_path / "store", clips=36, rows=3)
    rows = store.clips("c").to_pylist()
    rows[3]["subject"], rows[5]["label.emotion"], rows[34]["label.emotion"] = None, None, None
    for clip, split in (("bare_0", "train"), ("bare_1", "val"), ("bare_2", "val")):
        rows.append({**rows[0], "clip": clip, "split": split})
    store.upsert_clips("c", pa.Table.from_pylist(rows, schema=store.clips("c").schema))
    made = Guo2018Svm()
    settings = parse(made.kind, ["train.folds=3", "model.kernel=linear"])
    config = RunConfig(made.name, store.root, "c", settings.model_dump(), ("opensmile_is10",))
    recipe, context = start(config, tmp_path / "run", Progress())
    outcome = recipe.train(context)
    mine = [
        "1 clip of c train left out: no opensmile_is10",
        "train: 1 clip without the label emotion",
    ]
    val = [
        "2 clips of c val left out: no opensmile_is10",
        "val: 1 clip without the label emotion",
    ]
    assert [n for n in outcome.notes if "subject" not in n] == [*mine, *val]
    assert any("1 clip without a subject: folds by class alone" in n for n in outcome.notes)
    said = Said()
    recipe, context, _ = open_run(tmp_path / "run", said)
    recipe.evaluate(context, "val")
    assert said.lines == val
    assert list(recipe.predict(context, "val").notes) == val[:1]


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
