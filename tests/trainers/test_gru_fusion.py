"""rasipuram2020's networks: sizes by hand, shapes, masks; and its settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from features.spec import FeatureSpec, Rows
from storage.statistics import compute
from tests.trainers.trainer_kit import made_store, published
from trainers.data import data_of
from trainers.errors import WrongSetting
from trainers.listing import BUILT_IN
from trainers.loop import Progress
from trainers.models.gru_fusion import GruFusion, Shape
from trainers.models.scaling import ZScore
from trainers.recipe import recipe
from trainers.recipes.rasipuram2020 import Rasipuram2020
from trainers.run import RunConfig, start
from trainers.settings import parse

COLUMNS = {"audio": 168, "face": 2048, "pose": 714}
BRANCHES = {"fusion": tuple(COLUMNS), "audio": ("audio",), "expnet": ("face",)}


def after(width: int) -> int:
    """PReLU and batch norm."""
    return 3 * width


def gru(columns: int, width: int) -> int:
    """Three gates with weights of the input, of the state, and two biases."""
    return 3 * width * (columns + width + 2) + after(width)


def bilstm(columns: int, width: int) -> int:
    """Four gates, two directions of half the width."""
    return 2 * 4 * (width // 2) * (columns + width // 2 + 2) + after(width)


def dense(columns: int, width: int) -> int:
    return (columns + 1) * width + after(width)


@pytest.mark.parametrize(
    ("branches", "cell", "documented"),
    [
        ("fusion", "gru", 2_494_594),
        ("fusion", "bilstm", 2_976_386),
        ("audio", "gru", 156_738),
        ("expnet", "gru", 2_233_794),
    ],
)
def test_parameters_are_as_many_as_the_layers_say(
    branches: str, cell: str, documented: int
) -> None:
    layer = gru if cell == "gru" else bilstm
    sizes = {
        "audio": layer(168, 128) + layer(128, 64),
        "face": layer(2048, 256) + layer(256, 256) + layer(256, 64),
        "pose": dense(714, 128) + dense(128, 64),
    }
    chosen = BRANCHES[branches]
    wanted = sum(sizes[name] for name in chosen) + dense(64 * len(chosen), 64) + 65 * 2
    shape = Shape({name: COLUMNS[name] for name in chosen}, cell)  # type: ignore[arg-type]
    net = GruFusion(shape)
    assert sum(p.numel() for p in net.parameters()) == wanted == documented
    values = {name: torch.randn(2, 15, COLUMNS[name]) for name in chosen}
    out = net.eval()(values, torch.ones(2, 15, dtype=torch.bool))
    assert out.shape == (2, 15, 2)
    assert out.abs().max() <= 1


@pytest.mark.parametrize("cell", ["gru", "bilstm"])
def test_padding_changes_nothing(cell: str) -> None:
    torch.manual_seed(0)
    net = GruFusion(Shape({"audio": 5, "pose": 3}, cell, 0.1)).eval()  # type: ignore[arg-type]
    values = {"audio": torch.randn(1, 6, 5), "pose": torch.randn(1, 6, 3)}
    alone = net(values, torch.ones(1, 6, dtype=torch.bool))
    padded = {k: torch.cat([v, torch.full((1, 4, v.shape[2]), 9.0)], 1) for k, v in values.items()}
    both = {k: torch.cat([v, torch.randn(v.shape)], 0) for k, v in padded.items()}
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, 6:] = False
    torch.testing.assert_close(net(both, mask)[:1, :6], alone, atol=1e-6, rtol=1e-5)


def test_scaling_is_a_clipped_z_score() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 2, (500, 4))
    rows[:, 1] = 3.0
    rows[:, 2] = np.nan
    scale = ZScore((4,), compute([(rows, np.ones(500, bool))]))
    found = scale(torch.tensor([[5.0, 3.5, 1.0, 1e9], [np.nan, 3.0, np.nan, -1e9]])).numpy()
    mean, std = rows[:, 0].mean(), rows[:, 0].std()
    assert found[0, 0] == pytest.approx((5 - mean) / std, abs=1e-5)
    assert found[:, 1:].tolist() == [[0, 0, 10], [0, 0, -10]]
    assert found[1, 0] == 0


def test_pose_is_openface_where_it_is_known_else_the_mesh() -> None:
    made = Rasipuram2020()
    settings = parse(made.kind, [])
    assert made.features(settings, {"openface", "facemesh_714"})[2] == "openface"
    assert made.features(settings, {"facemesh_714"})[2] == "facemesh_714"
    with pytest.raises(WrongSetting, match=r"model\.branches=audio"):
        made.features(settings, set())
    audio = parse(made.kind, ["model.branches=audio"])
    assert made.features(audio, set()) == ("mfcc_mel",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.lrr=1", "did you mean 'lr'"),
        ("train.lr=fast", "valid number"),
        ("train.lr=Infinity", "finite number"),
        ("train.lr=NaN", "finite number"),
        ("train.epochs=0", "greater than or equal to 1"),
        ("train.epochs=true", "valid integer"),
        ("train.seed=99999999999999999999", "less than or equal to 2147483647"),
        ("epochs=3", r"write it as train\.NAME"),
        ("model.cell=rnn", "'gru' or 'bilstm'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(text: str, said: str) -> None:
    with pytest.raises(WrongSetting, match=said):
        parse(Rasipuram2020.kind, [text])


def test_every_recipe_declares_itself() -> None:
    for name in BUILT_IN:
        made = recipe(name)
        assert made.name == name
        assert made.title
        assert made.published
        for group in ("train", "model"):
            held = getattr(made.kind(), group)
            assert all(f.description for f in type(held).model_fields.values()), name


def test_segments_of_sound_give_an_answer_per_frame(tmp_path: Path) -> None:
    store = made_store(tmp_path / "store")
    clips = store.clips("c")["clip"].to_pylist()
    frames = {clip: store.read(clip, "label.arousal").rows for clip in clips}
    times = [Rows(np.arange(n) / 25, np.ones(n, bool)) for n in frames.values()]
    fast = [Rows(np.ones((200, 4), np.float32), np.ones(200, bool), 0.0, 0.01) for _ in clips]
    for name, rate, dims, rows in (
        ("timeline", "frame", (), times),
        ("logmel_64", "segment", (4,), fast),
    ):
        spec = FeatureSpec(name, rate, dims, str(rows[0].values.dtype))  # type: ignore[arg-type]
        store.commit(published(store, spec, clips, rows))
    made = Rasipuram2020()
    own = ("model.branches=audio", "model.audio=logmel_64", "train.epochs=1", "model.scale=0.1")
    settings = parse(made.kind, own).model_dump()
    config = RunConfig(made.name, store.root, "c", settings, ("logmel_64",))
    begun, context = start(config, tmp_path / "run", Progress())
    clocks = [item.content for item in data_of(begun, context).of("timeline")]
    assert clocks == [result.content for result in store.select("timeline", "c")]
    begun.train(context)
    answers = begun.predict(context, "val").rows
    found = {clip: sum(row[0] == clip for row in answers) for clip in clips[8:]}
    assert found == {clip: frames[clip] for clip in clips[8:]}
