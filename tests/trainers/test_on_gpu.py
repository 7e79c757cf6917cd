"""Training on a pretended GPU: where tensors lie, stops, scores, and what a card can't do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from tests.pretend_cuda import Card, pretend_cuda
from tests.trainers.guo_kit import TIMELINE, guo_store
from tests.trainers.test_checkpoint_loop import SETTINGS, Said
from tests.trainers.test_svm import blobs
from tests.trainers.trainer_kit import clips_table, made_store, published
from trainers.errors import GpuFull, WrongTrainDevice
from trainers.loop import Progress
from trainers.models.gru_fusion import Cell, GruFusion, Shape
from trainers.models.svm import GRID
from trainers.models.svm_torch import by_torch
from trainers.recipe import Outcome, recipe
from trainers.recipes.rasipuram2020 import Rasipuram2020
from trainers.run import RunConfig, open_run, start
from trainers.settings import parse


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_store(tmp_path_factory.mktemp("gpu") / "store", 6).root


@pytest.fixture
def card() -> Iterator[Card]:
    with pretend_cuda() as made:
        yield made


def train(store: str, folder: Path, said: Said, *more: str) -> Outcome:
    made = Rasipuram2020()
    settings = parse(
        made.kind,
        [
            *SETTINGS,
            "train.epochs=2",
            "model.stride=40",
            "train.batch=64",
            "train.load=device",
            *more,
        ],
    )
    features = made.features(settings, {"facemesh_714"})
    config = RunConfig(made.name, store, "c", settings.model_dump(), features)
    recipe, context = start(config, folder, said)
    return recipe.train(context)


def test_support_vector_machines_are_found_on_the_card(card: Card) -> None:
    rows, labels = blobs(24, 3)
    kernel = rows @ rows.T
    found = by_torch(torch.device("cuda"))(kernel, labels, 3, [GRID[0].c])[0]
    assert card.calls > 100
    expected = by_torch(torch.device("cpu"))(kernel, labels, 3, [GRID[0].c])[0]
    for name, values in vars(expected).items():
        assert np.allclose(vars(found)[name], values, atol=1e-6), name


def test_a_full_card_is_told_with_what_to_do(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, *_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore")

    monkeypatch.setattr("trainers.models.gru_fusion.GruFusion.forward", full)
    with pytest.raises(GpuFull, match=r"Tried to allocate 9 GiB.*train\.batch"):
        train(store, tmp_path / "run", Said(), "train.load=ram")


def on(device: str) -> AbstractContextManager[object]:
    return pretend_cuda() if device == "cuda" else nullcontext()


def losses(outcome: Outcome) -> list[float]:
    return [entry["loss"] for entry in outcome.history]


@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_stopped_training_goes_on_where_there_is_another_device(
    store: str, tmp_path: Path, first: str, then: str
) -> None:
    expected = losses(train(store, tmp_path / "undisturbed", Said(), "train.load=ram"))
    with on(first), pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "run", Said(stop_after=1), "train.load=auto")
    said = Said()
    with on(then):
        outcome = train(store, tmp_path / "run", said, "train.load=auto")
    assert "going on after epoch 1" in said.lines
    assert losses(outcome) == pytest.approx(expected, rel=1e-4)


def test_rows_on_the_card_are_learned_from_scored_and_predicted(
    card: Card, store: str, tmp_path: Path
) -> None:
    said = Said()
    outcome = train(store, tmp_path / "run", said)
    assert any("resident on the device" in line for line in said.lines)
    found = {}
    for device, load in (("cuda", "device"), ("cpu", "ram")):
        chosen = {"train": {"device": device, "load": load}}
        recipe, context, _ = open_run(tmp_path / "run", Said(), settings=chosen)
        card.clear()
        scores = recipe.evaluate(context, "val")
        assert scores == pytest.approx(outcome.metrics, abs=1e-5)
        found[device] = list(recipe.predict(context, "val").rows)
        assert (card.calls > 0) == (device == "cuda")
    assert [row[:2] for row in found["cuda"]] == [row[:2] for row in found["cpu"]]
    values = [np.array([row[2:] for row in rows], np.float64) for rows in found.values()]
    assert np.allclose(*values, atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "bilstm"])
@pytest.mark.parametrize("whole", [True, False])
def test_the_fusion_network_waits_for_the_card_in_no_layer(
    card: Card, cell: Cell, whole: bool
) -> None:
    torch.manual_seed(0)
    net = GruFusion(Shape({"audio": 5, "face": 4, "pose": 3}, cell, 0.1)).eval()
    values = {"audio": torch.randn(3, 6, 5), "face": torch.randn(3, 6, 4)}
    values["pose"] = torch.randn(3, 6, 3)
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[0, 4:] = whole
    expected = net(values, mask)
    net.to("cuda")
    moved, there = {name: v.to("cuda") for name, v in values.items()}, mask.to("cuda")
    card.clear()
    found = net(moved, there)
    assert card.waits["aten._local_scalar_dense.default"] == 1
    assert card.waits["aten.nonzero.default"] == (0 if whole else 1)
    assert card.waits["aten.index.Tensor"] == 0
    torch.testing.assert_close(found.cpu(), expected, atol=1e-6, rtol=1e-5)


FACES = FeatureSpec("sphereface", "frame", (6,), "float32")
CROPS = FeatureSpec("face_112x96", "frame", (112, 96, 3), "uint8")
MAPS = FeatureSpec("stft_map", "segment", (257, 300, 2), "float32")
FRAMES = FeatureSpec("face_224", "frame", (224, 224, 3), "uint8")
SOUND = FeatureSpec("spectrogram_192x120", "segment", (192,), "float32")
#: recipe's features, and its settings at a small size
OTHERS = {
    "peng2018": (
        ("stft_map", "sphereface"),
        (*("train.joint_epochs=1", "model.scale=0.01", "model.maps=1"), "model.frames=4"),
    ),
    "peng2018 on crops": (
        ("face_112x96",),
        ("model.part=vnet", "model.vnet=crops", "model.scale=0.01", "model.frames=2"),
    ),
    "birhala2020": (
        ("face_224", "spectrogram_192x120", "timeline"),
        ("train.folds=2", "model.n_segments=2", "model.scale=.05"),
    ),
    "guo2018": (
        ("face_eyes_224", "timeline", "shortterm_34"),
        (
            *("model.parts=faces,shortterm,maps", "model.scale=.03", "model.size=32"),
            *("model.map_size=32", "train.maps_iterations=2", "model.length=3", "model.every=2"),
            *("train.fusion_step=.5", "train.refit=false"),
        ),
    ),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What peng2018 and birhala2020 read, of eight clips of four subjects."""
    made, names = (
        FeatureStore.create(tmp_path_factory.mktemp("gpu") / "p"),
        [f"k{i}" for i in range(8)],
    )
    rng = np.random.default_rng(0)
    labels = {f"label.{name}": rng.uniform(0, 1, 8).tolist() for name in ("arousal", "valence")}
    labels["label.emotion"] = ["a", "b"] * 4
    made.upsert_clips("c", clips_table(names, ["train"] * 5 + ["val"] * 3, labels))
    rows: dict[FeatureSpec, list[Rows]] = {}
    for _ in names:
        every = np.ones(6, bool)
        rows.setdefault(TIMELINE, []).append(Rows(np.arange(6) / 10, every))
        for spec in (CROPS, FRAMES):
            seen = rng.integers(0, 255, (6, *spec.dims)).astype(np.uint8)
            rows.setdefault(spec, []).append(Rows(seen, every))
        rows.setdefault(FACES, []).append(Rows(rng.normal(size=(6, 6)).astype("f4"), every))
        for spec, step, scale in ((MAPS, 1.0, 0.02), (SOUND, 0.005, 2.0)):
            heard = rng.normal(0, scale, (2 if spec is MAPS else 200, *spec.dims)).astype("f4")
            rows.setdefault(spec, []).append(Rows(heard, np.ones(len(heard), bool), 0.0, step))
    made.commit([p for spec, each in rows.items() for p in published(made, spec, names, each)])
    return made.root


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("which", OTHERS)
def test_every_recipe_learns_and_answers_on_the_card_as_on_the_cpu(
    pictures: str, tmp_path: Path, which: str, precision: str
) -> None:
    name, (features, settings) = which.partition(" ")[0], OTHERS[which]
    root = pictures
    if name == "guo2018":
        root = guo_store(tmp_path / "store").root
    made = recipe(name)
    texts = (*settings, "train.epochs=1", "train.batch=3", f"train.precision={precision}")
    given = parse(made.kind, texts).model_dump()
    config = RunConfig(name, root, "c", given, features)
    found = {}
    for device in ("cpu", "cuda"):
        with on(device) as card:
            _, context = start(config, tmp_path / device, Progress())
            learned = made.train(context).metrics
            scored = made.evaluate(context, "val")
            rows = list(made.predict(context, "val").rows)
        assert device == "cpu" or card.calls > 1000  # type: ignore[attr-defined]
        numbers = [[float(str(cell)) for cell in row if "." in str(cell)] for row in rows]
        found[device] = (learned, scored, numbers)
    close = 1e-4 if precision == "fp32" else 0.02
    for one, other in zip(found["cpu"][2], found["cuda"][2], strict=True):
        assert one == pytest.approx(other, abs=close)
    if precision == "fp32":
        assert dict(found["cpu"][0]) == pytest.approx(dict(found["cuda"][0]), abs=1e-3)
        assert dict(found["cpu"][1]) == pytest.approx(dict(found["cuda"][1]), abs=1e-3)


def test_a_card_without_bfloat16_is_told_before_anything_is_learned(
    card: Card, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: False)
    with pytest.raises(WrongTrainDevice, match=r"pretended doesn't.*train\.precision=fp32"):
        train(store, tmp_path / "run", Said(), "train.precision=bf16", "train.load=ram")
    assert not (tmp_path / "run" / "checkpoints").exists()
