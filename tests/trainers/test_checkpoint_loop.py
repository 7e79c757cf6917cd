"""The training loop: a stopped training goes on as if it had not been, whatever was damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from features.spec import Rows
from storage.batches import Batch
from storage.errors import NotPublished
from tests.trainers.trainer_kit import AROUSAL, made_store, published
from trainers import checkpoint
from trainers.checkpoint import State
from trainers.errors import CheckpointDamaged, Diverged, NothingToTrain, RunMismatch
from trainers.frames import FrameRegression
from trainers.loop import Progress, fit
from trainers.recipe import Outcome
from trainers.recipes.rasipuram2020 import Rasipuram2020
from trainers.run import RunConfig, open_run, start
from trainers.settings import TrainSettings, parse

SETTINGS = (
    "train.epochs=4",
    "train.lr=0.003",
    "train.batch=8",
    "train.accumulate=2",
    "train.clip_norm=1",
    "train.patience=0",
    "model.scale=0.1",
    "model.stride=5",
)


class Said(Progress):
    """Keeps what is said; may stop the training after some epochs."""

    def __init__(self, stop_after: int = 0) -> None:
        self.lines: list[str] = []
        self.stop_after = stop_after

    def say(self, line: str) -> None:
        self.lines.append(line)

    def batch(self, loss: float) -> None:
        if self.stop_after < 0:
            raise KeyboardInterrupt

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        if self.stop_after and entry["epoch"] >= self.stop_after:
            # stops in the middle of the epoch after the checkpoint
            self.stop_after = -1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_store(tmp_path_factory.mktemp("trainers") / "store").root


def train(store: str, folder: Path, said: Progress, *more: str) -> Outcome:
    made = Rasipuram2020()
    settings = parse(made.kind, [*SETTINGS, *more])
    features = made.features(settings, {"facemesh_714"})
    config = RunConfig(made.name, store, "c", settings.model_dump(), features)
    recipe, context = start(config, folder, said)
    return recipe.train(context)


def open_and_score(folder: Path) -> Mapping[str, float]:
    recipe, context, _ = open_run(folder, Progress())
    return recipe.evaluate(context, "val")


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    train(store, folder, Progress())
    return folder


def test_a_stopped_training_goes_on_to_the_same_weights(
    store: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(store, folder, Said(stop_after=2))
    assert not (folder / "model.safetensors").exists()
    said = Said()
    outcome = train(store, folder, said)
    assert "going on after epoch 2" in said.lines
    assert [e["epoch"] for e in outcome.history] == [1, 2, 3, 4]
    assert weights(folder) == weights(undisturbed)


def test_a_finished_training_is_not_repeated(store: str, undisturbed: Path) -> None:
    before = weights(undisturbed)
    said = Said()
    outcome = train(store, undisturbed, said)
    assert len(outcome.history) == 4
    assert not any("going on" in line for line in said.lines)
    assert weights(undisturbed) == before


def test_another_seed_gives_other_weights(store: str, undisturbed: Path, tmp_path: Path) -> None:
    train(store, tmp_path / "run", Progress(), "train.seed=1")
    assert weights(tmp_path / "run") != weights(undisturbed)


@pytest.mark.parametrize(
    "damage", ["short", "flipped", "json", "null", "edited", "unoptimised", "another", "gone"]
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    store: str, undisturbed: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(store, folder, Said(stop_after=3))
    file = folder / "checkpoints" / "epoch-0003.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "short":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[-5] ^= 1
        file.write_bytes(data)
    elif damage in ("json", "null"):
        file.with_suffix(".json").write_text({"json": "{", "null": "null"}[damage])
    elif damage in ("edited", "unoptimised"):
        held = json.loads(file.with_suffix(".json").read_text())
        if damage == "edited":
            held["history"][0]["loss"] += 1
        else:
            del held["scalars"]["optimizer"]
        file.with_suffix(".json").write_text(json.dumps(held))
    elif damage == "another":
        for suffix in (".json", ".safetensors"):
            other = file.with_name(f"epoch-0002{suffix}")
            file.with_suffix(suffix).write_bytes(other.read_bytes())
    else:
        file.unlink()
    said = Said()
    train(store, folder, said)
    assert any("epoch-0003 is damaged" in x and "before it is used" in x for x in said.lines)
    assert "going on after epoch 2" in said.lines
    assert weights(folder) == weights(undisturbed)


def test_checkpoints_whose_best_epoch_is_damaged_are_not_used(tmp_path: Path) -> None:
    """Of epochs 1 to 5 the second was best, then the fifth."""
    for best, used, damaged in ((5, 4, 5), (2, None, 2)):
        folder = tmp_path / str(best)
        for epoch in range(1, 6):
            state = State(epoch, best if epoch == 5 else min(epoch, 2))
            checkpoint.write(folder, state, {"w": torch.full((3,), float(epoch))})
        (folder / f"epoch-{damaged:04d}.safetensors").write_bytes(b"")
        said: list[str] = []
        if used is None:
            with pytest.raises(CheckpointDamaged, match=r"remove .* to start anew"):
                checkpoint.newest(folder, said.append)
        else:
            found = checkpoint.newest(folder, said.append)
            assert found is not None
            assert (found[0].epoch, found[0].best_epoch) == (used, 2)
        assert any(f"epoch-{damaged:04d} is damaged" in line for line in said)


def test_what_a_kill_left_half_written_is_no_run_of_others(
    store: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.123").write_text("{")
    train(store, folder, Progress())
    assert weights(folder) == weights(undisturbed)


def test_without_a_sound_checkpoint_the_error_says_what_to_do(
    store: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(store, folder, Said(stop_after=2))
    for file in (folder / "checkpoints").glob("*.safetensors"):
        file.write_bytes(b"")
    with pytest.raises(CheckpointDamaged, match="to start anew"):
        train(store, folder, Progress())


def test_a_folder_is_not_taken_for_another_run(store: str, undisturbed: Path) -> None:
    with pytest.raises(RunMismatch, match=r"other train\.seed \(0, not 3\); choose"):
        train(store, undisturbed, Progress(), "train.seed=3")


def test_a_run_that_came_to_nothing_may_be_asked_for_something_else(
    store: str, tmp_path: Path
) -> None:
    with pytest.raises(NotPublished, match="trian"):
        train(store, tmp_path, Progress(), "train.split=trian")
    outcome = train(store, tmp_path, Progress(), "train.epochs=1")
    assert outcome.metrics == open_and_score(tmp_path)


def test_windows_with_gaps_between_them_leave_no_frame_without_an_answer(
    store: str, tmp_path: Path
) -> None:
    outcome = train(store, tmp_path, Progress(), "model.stride=20", "train.epochs=1")
    recipe, context, _ = open_run(tmp_path, Progress())
    rows = recipe.predict(context, None).rows
    assert len(rows) == sum(40 - i % 3 for i in range(12))
    assert not any(float(row[2]) == float(row[3]) == 0 for row in rows)
    # what is scored while it learns is what is scored afterwards: all labelled frames
    assert outcome.metrics == pytest.approx(dict(recipe.evaluate(context, "val")))


def test_parts_of_a_step_count_by_their_labelled_frames(tmp_path: Path) -> None:
    """Masks and labels differ from part to part; the step is that of all of them."""

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)
            torch.nn.init.constant_(self.layer.weight, 0.1)
            torch.nn.init.zeros_(self.layer.bias)

        def forward(self, values: Mapping[str, torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.layer(values["x"])
            return out

    rng = np.random.default_rng(0)
    known = rng.random((6, 5, 2)) < np.array([0.9, 0.1, 0.5, 0.9, 0, 0.3])[:, None, None]
    given = torch.from_numpy(rng.normal(size=(6, 5, 3)).astype(np.float32))
    labels = torch.from_numpy(rng.normal(size=(6, 5, 2)).astype(np.float32))

    def batch(rows: slice) -> Batch:
        names = ("valence", "arousal")
        return Batch(
            values={"x": given[rows]},
            valid={},
            mask=torch.ones(given[rows].shape[:2], dtype=torch.bool),
            labels={name: labels[rows, :, i] for i, name in enumerate(names)},
            labelled={n: torch.from_numpy(known[rows, :, i]) for i, n in enumerate(names)},
            clips=np.zeros(len(given[rows]), np.int64),
            starts=np.zeros(len(given[rows]), np.int64),
        )

    class Parts(FrameRegression):
        def batches(self, epoch: int) -> list[Batch]:
            return [batch(slice(i, i + self._settings.batch)) for i in range(0, 6, self.size)]

        def batch_count(self) -> int:
            return 6 // self.size

        def validate(self) -> dict[str, float]:
            return {"ccc_mean": 0.0}

        @property
        def size(self) -> int:
            return self._settings.batch

    found = []
    for size in (6, 1, 2):
        settings = TrainSettings(epochs=1, batch=size, accumulate=6 // size)
        line = Line()
        made = Parts(
            line,
            *(None, None),  # type: ignore[arg-type]
            ("valence", "arousal"),
            settings,
            lambda net: (torch.optim.SGD(net.parameters(), lr=1.0), None),
        )
        fit(made, settings, tmp_path / str(size), Progress())
        found.append(line.layer.weight.detach())
    assert not torch.allclose(found[0], torch.full((2, 3), 0.1))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def test_early_stopping_keeps_the_best_epoch(store: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    outcome = train(
        store, folder, Progress(), "train.epochs=40", "train.patience=2", "train.lr=0.3"
    )
    best = int(outcome.details["best_epoch"])
    scores = [e["ccc_mean"] for e in outcome.history]
    assert len(scores) == best + 2 < 40
    assert scores[best - 1] == max(scores)
    assert outcome.metrics["ccc_mean"] == scores[best - 1]


def test_a_control_keeps_its_last_epoch(store: str, tmp_path: Path) -> None:
    """Any other one would be chosen by true labels."""
    words = ("train.epochs=6", "train.patience=2", "train.lr=0.3", "train.shuffle_labels=true")
    outcome = train(store, tmp_path / "run", Progress(), *words)
    scores = [e["ccc_mean"] for e in outcome.history]
    assert outcome.details["best_epoch"] == len(scores) == 6
    assert scores[-1] < max(scores)


def test_a_loss_that_is_no_number_ends_the_training(store: str, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"lower train\.lr"):
        train(store, tmp_path / "run", Progress(), "train.lr=1e30", "train.clip_norm=0")


@pytest.mark.parametrize("damage", ["short", "flipped"])
def test_a_damaged_model_is_named_and_made_anew_from_the_checkpoints(
    store: str, undisturbed: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    model = folder / "model.safetensors"
    held = bytearray(model.read_bytes())
    held[-3] ^= 4
    model.write_bytes(held if damage == "flipped" else held[:-3])
    made, context, _ = open_run(folder, Progress())
    with pytest.raises(CheckpointDamaged, match=r"model.safetensors is damaged .*; remove it and"):
        made.predict(context, "val")
    model.unlink()
    said = Said()
    train(store, folder, said)
    assert not any("going on" in line for line in said.lines)
    assert model.read_bytes() == (undisturbed / "model.safetensors").read_bytes()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_any_label_is_refused_not_learned(split: str, tmp_path: Path) -> None:
    store = made_store(tmp_path / "store")
    table = store.clips("c").to_pylist()
    names = [r["clip"] for r in table if r["split"] == split]
    blank = [Rows(np.full(4, np.nan, np.float32), np.zeros(4, bool)) for _ in names]
    store.commit(published(store, AROUSAL, names, blank))
    with pytest.raises(NothingToTrain, match=f"nothing of {split} has the label arousal"):
        train(store.root, tmp_path / "run", Progress())


def test_bf16_trains_too(store: str, tmp_path: Path) -> None:
    outcome = train(
        store, tmp_path / "run", Progress(), "train.precision=bf16", "model.branches=audio"
    )
    assert outcome.history[-1]["loss"] < outcome.history[0]["loss"]


def test_tensorboard_logs_are_written_where_they_are_asked_for(
    store: str, undisturbed: Path, tmp_path: Path
) -> None:
    for _ in range(2):  # the second time nothing is trained, nor written
        train(store, tmp_path / "run", Progress(), "train.tensorboard=true", "model.branches=audio")
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"ccc_arousal" in events.read_bytes()
    assert not (undisturbed / "tensorboard").exists()


def test_optimizer_states_survive_packing() -> None:
    layer = torch.nn.Linear(3, 2)
    for kind in (torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD):
        made = kind(layer.parameters(), lr=0.1)
        layer(torch.ones(1, 3)).sum().backward()
        made.step()
        tensors, scalars = checkpoint.pack_optimizer(made)
        fresh = kind(layer.parameters(), lr=0.5)
        checkpoint.unpack_optimizer(fresh, tensors, scalars)
        assert fresh.state_dict()["param_groups"] == made.state_dict()["param_groups"]
        again, _ = checkpoint.pack_optimizer(fresh)
        assert again.keys() == tensors.keys()
        assert all(torch.equal(again[name], tensors[name]) for name in tensors)


@pytest.mark.long
def test_a_killed_process_goes_on_to_the_same_weights(
    store: str, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = ["train", "rasipuram2020", "-s", store, "-c", "c", "--to", str(folder)]
    words += ["--set", "model.pose=facemesh_714"]
    for text in SETTINGS:
        words += ["--set", text]
    code = "import torch; torch.set_num_threads(1); from flows.cli import main; main()"
    command = [sys.executable, "-c", code, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not (folder / "checkpoints" / "epoch-0001.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    assert weights(folder) == weights(undisturbed)


def test_a_training_goes_on_in_the_order_that_it_began_with(store: str, tmp_path: Path) -> None:
    # what fits into memory may differ after a stop
    free = pytest.MonkeyPatch()
    with free.context() as small:
        small.setattr("storage.loading.free_ram", lambda: 1)
        train(store, tmp_path / "whole", Progress())
        with pytest.raises(KeyboardInterrupt):
            train(store, tmp_path / "stopped", Said(stop_after=2))
    said = Said()
    train(store, tmp_path / "stopped", said)
    assert any(line.startswith("rows are streamed, as when") for line in said.lines)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")

    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "kept", Said(stop_after=2))
    with free.context() as small:
        small.setattr("storage.loading.free_ram", lambda: 1)
        train(store, tmp_path / "kept", said)
    train(store, tmp_path / "roomy", Progress())
    assert weights(tmp_path / "kept") == weights(tmp_path / "roomy")
    assert weights(tmp_path / "kept") != weights(tmp_path / "whole")


def test_a_last_step_that_led_astray_is_told_with_the_remedy(store: str, tmp_path: Path) -> None:
    more = ("train.lr=1e30", "train.batch=999", "train.accumulate=1", "train.clip_norm=0")
    with pytest.raises(Diverged, match=r"after epoch 1 .* try a lower train\.lr"):
        train(store, tmp_path / "run", Progress(), *more)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
