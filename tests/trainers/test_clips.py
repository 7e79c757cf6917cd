"""Clips as the unit of training: what is picked, learned and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from storage import FeatureStore
from storage.batches import Batch
from storage.clip_view import ClipView
from storage.selection import Selection, select_clips
from tests.trainers.trainer_kit import EMOTIONS, clips_table, made_store
from trainers.clips import Clips, ClipTask, predict_clips, score_clips
from trainers.errors import Diverged, NothingToTrain
from trainers.frames import need_labels, out_of_reach
from trainers.loop import Progress, fit
from trainers.schedules import StepDecay
from trainers.settings import TrainSettings
from trainers.targets import Classes, Values, class_names

SETTINGS = TrainSettings(epochs=12, batch=3, lr=0.1, patience=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return made_store(tmp_path_factory.mktemp("clips") / "store", rows=20)


@pytest.fixture(scope="module")
def selection(store: FeatureStore) -> Selection:
    features = ("opensmile_is10", "mfcc_mel")
    return select_clips(store, features, "c", labels=("emotion", "level"), label_rate="clip")


def whole(view: ClipView, rng: np.random.Generator | None) -> Mapping[str, NDArray[np.generic]]:
    return {"x": view.all("opensmile_is10")}


def some_rows(view: ClipView, rng: np.random.Generator | None) -> Mapping[str, NDArray[np.generic]]:
    count = view.rows("mfcc_mel")
    picked = np.arange(0, count, 6) if rng is None else rng.integers(0, count, 2)
    return {"x": np.nan_to_num(view.take("mfcc_mel", picked)), "row": picked}


class Net(nn.Module):
    def __init__(self, columns: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(12, columns)

    def forward(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = self.layer(values["x"] / 5)
        return out


def sgd(model: nn.Module) -> tuple[torch.optim.Optimizer, None]:
    return torch.optim.SGD(model.parameters(), lr=SETTINGS.lr, momentum=0.9), None


def halves(selection: Selection, sampler: object = whole) -> tuple[Clips, Clips]:
    clips = Clips(selection, sampler)  # type: ignore[arg-type]
    return clips.only(np.arange(8)), clips.only(np.arange(8, 12))


def task(selection: Selection, settings: TrainSettings = SETTINGS, last: bool = False) -> ClipTask:
    target = Classes("emotion", EMOTIONS)
    return ClipTask(Net(3), *halves(selection), target, settings, sgd, keep_last=last)


def test_rows_taken_one_by_one_are_those_of_the_store(
    store: FeatureStore, selection: Selection
) -> None:
    stored = store.read("clip_03", "mfcc_mel", corpus="c")
    rows = np.array([7, 2, 3, 3, 19])
    for keep in (True, False):
        view = ClipView(selection, 3, keep=keep)
        np.testing.assert_array_equal(view.take("mfcc_mel", rows), stored.values[rows])
        np.testing.assert_array_equal(view.valid("mfcc_mel"), stored.valid)
        assert stored.valid[view.nearest("mfcc_mel", np.arange(stored.rows))].all()
        assert view.take("mfcc_mel", rows[:0]).shape == (0, 6)


@pytest.mark.parametrize("mode", ["ram", "stream"])
def test_an_epoch_follows_from_seed_and_number_alone(selection: Selection, mode: str) -> None:
    clips = Clips(selection, some_rows, mode=mode)  # type: ignore[arg-type]

    def epoch(number: int, seed: int = 0) -> list[tuple[int, int]]:
        found = [
            (clip, row)
            for batch in clips.batches(5, seed=seed, epoch=number)
            for clip, row in zip(batch.clips.tolist(), batch.values["row"].tolist(), strict=True)
        ]
        assert sorted(clip for clip, _ in found) == sorted([*range(12)] * 2)
        return found

    first = epoch(0)
    assert epoch(1) != first
    assert epoch(0, seed=1) != first
    assert epoch(0) == first
    again = Clips(selection, some_rows, mode="stream")
    assert [b.values["row"].tolist() for b in again.batches(5, seed=0, epoch=0)] == [
        b.values["row"].tolist() for b in clips.batches(5, seed=0, epoch=0)
    ]


def test_batches_are_nearly_equal_so_that_none_is_of_one_clip(selection: Selection) -> None:
    clips = Clips(selection, whole)
    assert [len(b) for b in clips.batches(11)] == [6, 6]
    assert [b.clips.tolist() for b in clips.only(np.array([2, 5])).batches(4)] == [[2, 5]]


def test_a_clips_answer_is_the_mean_over_its_views(selection: Selection) -> None:
    class FirstColumn(nn.Module):
        def forward(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return values["x"][:, :1]

    found = predict_clips(
        FirstColumn(), Clips(selection, some_rows), Values(["level"]), SETTINGS
    ).values
    stored = selection.store.read("clip_04", "mfcc_mel", corpus="c").values
    assert found[4, 0] == pytest.approx(np.nan_to_num(stored[::6, 0]).mean(), abs=1e-6)


def test_classes_are_learned_and_other_clips_labels_are_not(
    selection: Selection, tmp_path: Path
) -> None:
    real = task(selection)
    state = fit(real, SETTINGS, tmp_path / "real", Progress())
    assert state.history[state.best_epoch - 1]["accuracy"] == 1
    assert state.best_epoch < SETTINGS.epochs
    shuffled = SETTINGS.model_copy(update={"shuffle_labels": True})
    control = task(selection, shuffled)
    fit(control, shuffled, tmp_path / "control", Progress())
    clips = halves(selection)[0]
    known = score_clips(real.model, clips, Classes("emotion", EMOTIONS), SETTINGS)
    other = score_clips(control.model, clips, Classes("emotion", EMOTIONS), SETTINGS)
    assert known == {"accuracy": 1.0, "uar": 1.0, "macro_f1": 1.0}
    assert other["accuracy"] < 0.7
    assert control.notes == ["CONTROL: trained on other clips' labels"]


def test_values_are_learned_by_the_loss_that_is_given(selection: Selection, tmp_path: Path) -> None:
    def squared(output: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return (output - wanted).square().sum()

    target = Values(["level"], squared)
    made = ClipTask(Net(1), *halves(selection), target, SETTINGS, sgd)
    settings = SETTINGS.model_copy(update={"lr": 0.01})
    state = fit(made, settings, tmp_path, Progress())
    assert state.history[0]["loss"] > 1
    assert state.best > 0.8
    assert made.monitor == "ccc_mean"


def test_a_stopped_training_goes_on_to_the_same_weights(
    selection: Selection, tmp_path: Path
) -> None:
    class Stop(Progress):
        def epoch_done(self, entry: Mapping[str, float]) -> None:
            if entry["epoch"] == 5:
                raise KeyboardInterrupt

    whole_run, halved = task(selection, last=True), task(selection, last=True)
    state = fit(whole_run, SETTINGS, tmp_path / "a", Progress())
    with pytest.raises(KeyboardInterrupt):
        fit(halved, SETTINGS, tmp_path / "b", Stop())
    again = task(selection, last=True)
    fit(again, SETTINGS, tmp_path / "b", Progress())
    assert state.best_epoch == SETTINGS.epochs
    assert torch.equal(again.model.layer.weight, whole_run.model.layer.weight)


def test_unlabelled_clips_are_left_out_and_told(selection: Selection) -> None:
    some = Classes("emotion", [*EMOTIONS])
    clips = Clips(selection, whole)
    first = selection.clips[0]
    first.labels["emotion"] = None  # type: ignore[index]
    try:
        made = ClipTask(Net(3), clips, clips.only(np.array([1])), some, SETTINGS, sgd)
        assert made.notes == ["1 clip to learn from without a label"]
        assert made.batch_count() == 4
        with pytest.raises(NothingToTrain, match="has the label"):
            ClipTask(Net(3), clips.only(np.array([0])), clips, some, SETTINGS, sgd)
        with pytest.raises(NothingToTrain, match="no clip to score"):
            score_clips(Net(3), clips.only(np.array([0])), some, SETTINGS)
    finally:
        first.labels["emotion"] = EMOTIONS[0]  # type: ignore[index]


def test_what_cannot_be_learned_or_scored_is_said_before_anything_is_learned(
    selection: Selection,
) -> None:
    clips = Clips(selection, whole)
    alike = clips.only(np.array([0, 3, 6]))
    only = Clips(replace(selection, clips=tuple(selection.clips[i] for i in (0, 3, 6))), whole)
    made = ClipTask(Net(3), alike, clips, Classes("emotion", EMOTIONS), SETTINGS, sgd)
    said = "3 clips to learn from, all with the emotion 'angry'"
    assert made.notes == [f"{said}: no other can be learned"]
    with pytest.raises(NothingToTrain, match=f"{said}, the only one .* two classes are needed"):
        ClipTask(Net(1), only, only, Classes("emotion", ["angry"]), SETTINGS, sgd)
    first = selection.clips[0]
    first.labels["emotion"] = None  # type: ignore[index]
    try:
        val = clips.only(np.array([0]))
        with pytest.raises(NothingToTrain, match="no clip to score"):
            ClipTask(Net(3), clips, val, Classes("emotion", EMOTIONS), SETTINGS, sgd)
    finally:
        first.labels["emotion"] = EMOTIONS[0]  # type: ignore[index]


def test_a_step_that_led_astray_is_no_class_and_no_weight(
    selection: Selection, tmp_path: Path
) -> None:
    """One step an epoch: no loss comes after it."""

    class Squared(Net):
        def forward(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return 100 * super().forward(values) ** 2

    huge = SETTINGS.model_copy(update={"batch": 99, "epochs": 1})
    for folder, rate, said in (("a", 1e30, "can't be scored after epoch 1"), ("b", 3e38, "weigh")):

        def steep(model: nn.Module, rate: float = rate) -> tuple[torch.optim.Optimizer, None]:
            return torch.optim.SGD(model.parameters(), lr=rate), None

        target = Classes("emotion", EMOTIONS)
        made = ClipTask(Squared(3), *halves(selection), target, huge, steep, keep_last=True)
        with pytest.raises(Diverged, match=said):
            fit(made, huge, tmp_path / folder, Progress())
        assert not list(tmp_path.rglob("*.safetensors"))


def test_parts_of_a_step_count_by_their_rows(selection: Selection, tmp_path: Path) -> None:
    """A step of batches of five and three clips is the step of all eight."""
    found = []
    for size, parts in ((8, 1), (5, 2), (3, 3)):
        settings = SETTINGS.model_copy(update={"epochs": 2, "accumulate": parts, "batch": size})
        made = Unequal(selection, settings)
        assert made.sizes() == {1: [8], 2: [5, 3], 3: [3, 3, 2]}[parts]
        fit(made, settings, tmp_path / str(parts), Progress())
        found.append(made.model.layer.weight.detach())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


class Unequal(ClipTask):
    """Batches of as many clips as are asked for; the last one has what is left."""

    def __init__(self, selection: Selection, settings: TrainSettings) -> None:
        target = Classes("emotion", EMOTIONS)
        super().__init__(Net(3), *halves(selection), target, settings, sgd, keep_last=True)

    def batches(self, epoch: int) -> list[Batch]:
        size = self._settings.batch
        groups = [np.arange(i, min(i + size, 8)) for i in range(0, 8, size)]
        return [next(iter(self._train.only(group).batches(size))) for group in groups]

    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches(0)]


def test_classes_come_from_words_or_numbers_and_unknown_ones_are_refused(
    store: FeatureStore,
    selection: Selection,
) -> None:
    assert class_names(store, "c", "emotion") == EMOTIONS
    with pytest.raises(NothingToTrain, match="'happy'; the model knows angry, sad"):
        Classes("emotion", ["angry", "sad"]).truth(selection)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([0.0, 2.0, None], ("0", "1", "2")),
        ([1, 0, 3], ("0", "1", "2", "3")),
        ([float("nan"), 1.0, 1.0], ("0", "1")),
        (["10", "9", None], ("10", "9")),
    ],
)
def test_the_classes_of_a_label_are_the_corpus_whole_numbers_or_words(
    given: list[object], names: tuple[str, ...], tmp_path: Path
) -> None:
    made = labelled(tmp_path, given)
    assert class_names(made, "c", "odd") == names
    some = select_clips(made, ["opensmile_is10"], "c", labels=["odd"], label_rate="clip")
    wanted, known = Classes("odd", names).truth(some)
    for place, there, value in zip(wanted.tolist(), known.tolist(), given, strict=False):
        assert there == (value is not None and value == value)
        assert not there or names[place] == (value if isinstance(value, str) else f"{value:.0f}")


@pytest.mark.parametrize("given", [[0.5, 1.0], [-1.0, 2.0], [float("inf"), 1.0]])
def test_numbers_that_are_no_classes_are_refused(given: list[object], tmp_path: Path) -> None:
    made = labelled(tmp_path, given)
    with pytest.raises(NothingToTrain, match="classes are words or whole numbers from 0"):
        class_names(made, "c", "odd")


def test_a_label_that_nobody_has_is_said(tmp_path: Path) -> None:
    for name in ("odd", "odder"):
        with pytest.raises(NothingToTrain, match=f"no clip of c has the label {name}"):
            class_names(labelled(tmp_path / name, [None, None]), "c", name)


def labelled(root: Path, given: list[object]) -> FeatureStore:
    """A store whose first clips have these values of the label ``odd``, the others none."""
    made = made_store(root, rows=2)
    table = made.clips("c")
    values = [*given, *[None] * (table.num_rows - len(given))]
    made.upsert_clips("c", table.append_column("label.odd", pa.array(values)))
    return FeatureStore.open(root)


def test_rows_that_cannot_be_on_a_device_are_told_to_be_in_memory(selection: Selection) -> None:
    told = str(Clips(selection, whole, mode="device").loading)
    assert "resident in memory, not on a device: batches are made by the CPU" in told
    assert "not on a device" not in str(Clips(selection, whole, mode="ram").loading)


def test_the_rate_decays_by_steps_and_starts_again_where_asked() -> None:
    layer = nn.Linear(1, 1)
    for restart, expected in ((False, [1.0, 0.1, 0.1, 0.001]), (True, [1.0, 0.1, 1.0, 0.1])):
        made = torch.optim.SGD(layer.parameters(), lr=1.0)
        schedule = StepDecay(made, every=2, restart=restart)
        rates = []
        for _ in range(2):
            rates.append(made.param_groups[0]["lr"])
            for _ in range(3):
                made.step()
            rates.append(made.param_groups[0]["lr"])
            schedule.step()
        assert rates == pytest.approx(expected)
        fresh = torch.optim.SGD(layer.parameters(), lr=1.0)
        other = StepDecay(fresh, every=2, restart=restart)
        fresh.load_state_dict(made.state_dict())
        other.load_state_dict(schedule.state_dict())
        for optimizer in (made, fresh):
            optimizer.step()
            optimizer.step()
        assert fresh.param_groups[0]["lr"] == made.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 30_000_000], r"odd is 30000000 of clip_01: .* at most 999"),
        ([0, 1_000], r"odd is 1000 of clip_01: "),
    ],
)
def test_a_class_number_that_can_not_be_is_refused_at_once(
    given: list[int], said: str, tmp_path: Path
) -> None:
    with pytest.raises(NothingToTrain, match=said):
        class_names(labelled(tmp_path / "s", given), "c", "odd")
    assert len(class_names(labelled(tmp_path / "t", [3, 999]), "c", "odd")) == 1_000


def test_a_column_of_ids_is_no_class(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")
    names = [f"clip_{i:04d}" for i in range(1_001)]
    store.upsert_clips("c", clips_table(names, ["train"] * 1_001, {"label.id": names}))
    with pytest.raises(NothingToTrain, match=r"id has 1001 different words, such as 'clip_0000'"):
        class_names(store, "c", "id")


def test_text_is_never_learned_as_a_value(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s", rows=20)
    store.upsert_clips(
        "c", pa.table({"clip": ["clip_00", "clip_01"], "label.pleasure": ["0.4", "0,5"]})
    )
    found = select_clips(store, ["opensmile_is10"], "c", labels=["pleasure"])
    with pytest.raises(NothingToTrain, match=r"pleasure is text \('0,5' of some clip\)"):
        Values(["pleasure"]).truth(found)
    made = store.windows(["mfcc_mel"], 15, 10, "c", labels=["pleasure"])
    with pytest.raises(NothingToTrain, match="pleasure is text"):
        need_labels(made, ["pleasure"], "train")


def test_labels_that_a_network_can_not_reach_are_told(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s", rows=20)
    store.upsert_clips("c", pa.table({"clip": ["clip_00", "clip_01"], "label.sam": [1.0, 9.0]}))
    made = store.windows(["mfcc_mel"], 15, 10, "c", labels=["sam", "arousal", "level"])
    (note,) = out_of_reach(made.selection, ["sam", "arousal", "level"])
    assert note.startswith("sam is labelled 1 to 9, and the network answers -1 to 1")
