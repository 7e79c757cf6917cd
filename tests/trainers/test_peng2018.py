"""peng2018: sizes, shapes and sampling to the number; stages that go on, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from features.nets.vgg16 import Vgg16
from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from tests.trainers.test_checkpoint_loop import Said
from tests.trainers.trainer_kit import clips_table, published
from trainers.data import data_of
from trainers.errors import RunMismatch, WrongSetting
from trainers.loop import Progress
from trainers.losses import concordance, concordance_loss
from trainers.metrics import ccc
from trainers.models.anet import OTHER_THAN_VGG, ANet
from trainers.models.audio_visual import AudioVisual
from trainers.models.vnet import FaceBackbone, VNet
from trainers.moments import moments
from trainers.recipe import Context, Outcome
from trainers.recipes.peng2018 import Peng2018
from trainers.recipes.peng2018_networks import optimizer
from trainers.recipes.peng2018_settings import PengSettings, Train
from trainers.run import RunConfig, open_run, start
from trainers.settings import parse

FACES = FeatureSpec("sphereface", "frame", (6,), "float32")
CROPS = FeatureSpec("face_112x96", "frame", (112, 96, 3), "uint8")
MAPS = FeatureSpec("stft_map", "segment", (257, 300, 2), "float32")
SMALL = (
    *("train.epochs=2", "train.joint_epochs=2", "train.batch=4", "train.joint_batch=4"),
    *("train.lr=0.001", "model.scale=0.01", "model.maps=1", "model.frames=4"),
)


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def lstm(inputs: int, hidden: int) -> int:
    """Four gates with weights of the input, of the state, and two biases, in two directions."""
    return 2 * 4 * hidden * (inputs + hidden + 2)


def test_networks_have_the_published_sizes_and_shapes() -> None:
    with torch.device("meta"):
        anet, vnet, tuned = ANet(), VNet(512, 512), VNet(512, 512, FaceBackbone())
        assert anet.features(torch.empty(1, 2, 257, 300)).shape == (1, 512, 7, 9)
        assert anet(torch.empty(2, 4, 257, 300, 2)).shape == (2, 512)
        assert vnet(torch.empty(2, 16, 512)).shape == (2, 512)
        assert tuned(torch.empty(2, 16, 112, 96, 3, dtype=torch.uint8)).shape == (2, 512)
        alone, joint = AudioVisual(None, vnet), AudioVisual(anet, vnet)
        vgg = Vgg16()
    assert parameters(anet.fc[0]) == 32_256 * 4096 + 4096 == 132_124_672
    assert parameters(alone) == lstm(512, 512) + 513 * 2 == 4_203_522
    # the first convolution has two channels instead of three
    convolutions = parameters(vgg.features) - 64 * 9
    assert parameters(anet) == convolutions + 132_124_672 + 4097 * 512
    assert parameters(AudioVisual(anet, None)) == 148_937_474
    assert parameters(joint) == parameters(anet) + lstm(512, 512) + 1025 * 2 == 153_140_994
    assert parameters(AudioVisual(anet, tuned)) == 175_811_650
    public = {k: t.shape for k, t in vgg.state_dict().items() if not k.startswith(OTHER_THAN_VGG)}
    ours = {k: t.shape for k, t in anet.state_dict().items() if not k.startswith(OTHER_THAN_VGG)}
    assert public == ours
    assert len(ours) == 2 * 12


def test_lstms_start_orthogonal_and_directions_are_summed() -> None:
    torch.manual_seed(0)
    net = VNet(3, 5)
    weight = net.lstm.weight_hh_l0_reverse.detach()
    assert torch.allclose(weight.T @ weight, torch.eye(5), atol=1e-5)
    assert not net.lstm.bias_ih_l0.any()
    steps = torch.randn(2, 4, 3)
    both = net.lstm(steps)[0]
    assert torch.allclose(net(steps), (both[..., :5] + both[..., 5:]).mean(1))


def test_crops_are_scaled_and_turned_to_the_colours_of_the_weights() -> None:
    torch.manual_seed(0)
    crops = torch.randint(0, 256, (1, 112, 96, 3), dtype=torch.uint8)
    backbone = FaceBackbone("bgr", 0.05)
    blue_first = (crops.double().numpy()[..., ::-1] - 127.5) / 128
    planes = torch.from_numpy(blue_first.copy()).permute(0, 3, 1, 2).float()
    assert torch.equal(backbone(crops), backbone.net(planes))
    backbone.channels = "rgb"
    assert torch.equal(backbone(crops), backbone.net(planes.flip(1)))


@pytest.mark.parametrize("rows", [1, 5, 15, 16, 17, 100, 1001])
def test_rows_are_one_of_each_segment(rows: int) -> None:
    segment = rows / 16
    centres = moments(rows, 16)
    assert centres.tolist() == [int(segment / 2 + segment * i) for i in range(16)]
    rng = np.random.default_rng(0)
    drawn = np.stack([moments(rows, 16, rng) for _ in range(200)])
    if rows < 16:
        assert (drawn == centres).all()
        return
    edges = np.floor(segment * np.arange(17)).astype(int)
    if rows <= 100:  # of longer segments not every row is drawn
        assert (drawn.min(0) == edges[:-1]).all()
    assert ((drawn >= edges[:-1]) & (drawn < edges[1:])).all()
    assert 0 <= centres.min() <= centres.max() < rows


def test_the_loss_is_the_metric() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (40, 2)), rng.normal(0.3, 2, (40, 2))
    wanted = [ccc(x[:, i], y[:, i]) for i in range(2)]
    found = concordance(torch.from_numpy(x), torch.from_numpy(y))
    assert found.tolist() == pytest.approx(wanted, abs=1e-7)
    loss = concordance_loss(torch.from_numpy(x), torch.from_numpy(y))
    assert float(loss) == pytest.approx(-sum(wanted), abs=1e-7)
    same = torch.ones(3, 2, requires_grad=True)
    concordance_loss(same, torch.ones(3, 2)).backward()
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()


@pytest.mark.parametrize(
    ("stage", "first", "falls"), [("vnet", 0.01, (8, 16, 24)), ("joint", 0.001, (7, 14, 21, 28))]
)
def test_rates_fall_to_a_tenth_after_the_papers_epochs(
    stage: str, first: float, falls: tuple[int, ...]
) -> None:
    train = Train().of(stage)  # type: ignore[arg-type]
    sgd, schedule = optimizer(torch.nn.Linear(1, 1), train)
    for epoch in range(train.epochs):
        wanted = first * 0.1 ** sum(epoch >= fall for fall in falls)
        assert sgd.param_groups[0]["lr"] == pytest.approx(wanted)
        sgd.step()
        schedule.step()
    assert (train.epochs, train.batch, train.clip_norm) == (30, 6 if stage == "joint" else 32, 20)
    assert sgd.param_groups[0]["momentum"] == 0.9
    assert sgd.param_groups[0]["weight_decay"] == 5e-4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eight clips whose faces tell both labels; one has no face, one no sound."""
    store = FeatureStore.create(tmp_path_factory.mktemp("peng") / "store")
    rng = np.random.default_rng(0)
    names = [f"clip_{i}" for i in range(8)]
    levels = rng.uniform(-0.8, 0.8, (8, 2))
    labels = {f"label.{n}": levels[:, i].tolist() for i, n in enumerate(("arousal", "valence"))}
    splits = ["train"] * 5 + ["val"] * 3
    store.upsert_clips("c", clips_table(names, splits, labels))
    rows: dict[FeatureSpec, list[Rows]] = {FACES: [], CROPS: [], MAPS: []}
    for i in range(8):
        valid = np.full(9, i != 2)
        faces = rng.normal(0, 0.1, (9, 6)) + np.repeat(levels[i], 3)
        faces[~valid] = np.nan
        rows[FACES].append(Rows(faces.astype(np.float32), valid))
        crops = rng.integers(0, 255, (9, 112, 96, 3), np.uint8)
        rows[CROPS].append(Rows(np.where(valid[:, None, None, None], crops, 0), valid))
        maps = rng.normal(0, 0.1, (2, 257, 300, 2)).astype(np.float32)
        sound = np.full(2, i != 3)
        maps[~sound] = np.nan
        rows[MAPS].append(Rows(maps, sound, 0.0, 1.0))
    store.commit([p for spec, made in rows.items() for p in published(store, spec, names, made)])
    return store.root


class Stopped(Progress):
    """Stops the training in the epoch after so many."""

    def __init__(self, after: int) -> None:
        self.left = after

    def batch(self, loss: float) -> None:
        if not self.left:
            raise KeyboardInterrupt

    def epoch_done(self, entry: Mapping[str, float]) -> None:
        self.left -= 1


def train(store: str, folder: Path, *more: str, said: Progress | None = None) -> Outcome:
    made = Peng2018()
    settings = parse(made.kind, [*SMALL, *more])
    features = made.features(settings, {"sphereface"})
    config = RunConfig(made.name, store, "c", settings.model_dump(), features)
    recipe, context = start(config, folder, said or Progress())
    return recipe.train(context)


@pytest.fixture(scope="module")
def undisturbed(store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    outcome = train(store, folder)
    assert len(outcome.history) == 2
    assert {"vnet, ccc_total", "anet, ccc_total", "joint, ccc_total"} <= outcome.details.keys()
    return folder


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_run_that_was_stopped_in_any_stage_ends_with_the_same_weights(
    store: str, undisturbed: Path, tmp_path: Path, after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "run", said=Stopped(after))
    train(store, tmp_path / "run")
    for stage in ("vnet", "anet", "joint"):
        held = tmp_path / "run" / stage / "model.safetensors"
        assert held.read_bytes() == (undisturbed / stage / "model.safetensors").read_bytes()


def test_joint_training_starts_from_networks_that_were_trained_alone(
    store: str, undisturbed: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunMismatch, match=r"--set model.part=anet.* or train.from_scratch=true"):
        train(store, tmp_path / "a", "model.part=joint", f"train.vnet={undisturbed}")
    frozen = ("train.joint_lr=1e-12", "train.joint_epochs=1", "model.part=joint")
    given = (f"train.vnet={undisturbed}", f"train.anet={undisturbed}")
    train(store, tmp_path / "b", *frozen, *given)
    joint = load_file(tmp_path / "b" / "joint" / "model.safetensors")
    for part in ("vnet", "anet"):
        alone = load_file(undisturbed / part / "model.safetensors")
        own = [k for k in alone if k.startswith(f"{part}.")]
        assert own
        assert all(torch.allclose(joint[k], alone[k], atol=1e-6) for k in own)
    made, context, _ = open_run(tmp_path / "b", Progress())
    networks = [item for item in data_of(made, context).items if not item.clip]
    assert [item.feature for item in networks] == ["train.anet", "train.vnet"]
    file = undisturbed / "vnet" / "model.safetensors"
    assert networks[1].content == hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(RunMismatch, match="of another shape"):
        train(store, tmp_path / "c", "model.scale=0.02", "model.part=joint", *given)
    said = train(store, tmp_path / "d", "model.part=joint", "train.from_scratch=true")
    assert "joint: anet starts from scratch, as asked for" in said.notes


def test_without_omgs_attributes_rows_are_named_by_clip(store: str, undisturbed: Path) -> None:
    recipe, context, _ = open_run(undisturbed, Progress())
    found = recipe.predict(context, "val")
    assert found.columns == ("clip", "arousal", "valence")
    assert [row[0] for row in found.rows] == ["clip_5", "clip_6", "clip_7"]


def test_crops_are_trained_on_and_scored_the_same_each_time(store: str, tmp_path: Path) -> None:
    outcome = train(store, tmp_path / "run", "model.part=vnet", "model.vnet=crops")
    assert any("starts from scratch" in note for note in outcome.notes)
    recipe, context, _ = open_run(tmp_path / "run", Progress())
    assert recipe.evaluate(context, "val") == pytest.approx(outcome.metrics, abs=1e-6)


def test_features_that_do_not_fit_are_refused(store: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="weights sphere20a"):
        Peng2018().features(PengSettings(), set())
    wrong = ("model.vnet=crops", "model.faces_feature=sphereface")
    with pytest.raises(WrongSetting, match=r"\(6,\); model.vnet=crops takes"):
        train(store, tmp_path / "run", "model.part=vnet", *wrong)
    for part, feature in (("anet", "maps"), ("vnet", "faces")):
        other = "sphereface" if part == "anet" else "stft_map"
        with pytest.raises(WrongSetting, match=f"{other} has rows of shape"):
            train(store, tmp_path / part, f"model.part={part}", f"model.{feature}_feature={other}")


def test_labels_beyond_the_networks_answers_are_told(store: str, tmp_path: Path) -> None:
    wide = FeatureStore.open(store)
    table = wide.clips("c").to_pylist()
    labels = {"label.arousal": [float(i + 1) for i in range(8)], "label.valence": [0.5] * 8}
    names, splits = ([str(row[key]) for row in table] for key in ("clip", "split"))
    wide.upsert_clips("wide", clips_table(names, splits, labels))
    rows = [Rows(np.full((3, 6), i, np.float32), np.ones(3, bool)) for i in range(8)]
    wide.commit(published(wide, FACES, names, rows, "wide"))
    settings = parse(Peng2018.kind, [*SMALL, "model.part=vnet"])
    config = RunConfig("peng2018", store, "wide", settings.model_dump(), ("sphereface",))
    recipe, context = start(config, tmp_path, Progress())
    (note,) = (note for note in recipe.train(context).notes if "labelled" in note)
    assert note.startswith("vnet: arousal is labelled 1 to 5, and the network answers -1 to 1")


def test_one_clip_has_no_concordance_to_learn() -> None:
    with pytest.raises(WrongSetting, match=r"joint_batch=1: .*joint_loss=ccc needs"):
        parse(PengSettings, ["train.joint_batch=1"])
    assert parse(PengSettings, ["train.joint_batch=1", "train.joint_loss=mse"])


def test_weights_of_the_registry_are_asked_for_where_they_fit() -> None:
    def asked(*texts: str) -> tuple[str, ...]:
        return Peng2018().pretrained(parse(PengSettings, texts))

    assert asked() == ("vgg16-imagenet",)
    assert asked("model.vnet=crops") == ("vgg16-imagenet", "sphere20a")
    assert asked("model.part=vnet") == ()
    assert asked("model.scale=0.5") == asked("model.pretrained=false") == ()
    assert asked("model.part=joint") == asked("train.anet=elsewhere") == ()


def test_clips_without_features_have_a_row_of_their_own(store: str, tmp_path: Path) -> None:
    train(store, tmp_path / "run", "model.part=vnet", "train.epochs=1")
    recipe, context, _ = open_run(tmp_path / "run", Progress())
    opened = FeatureStore.open(store)
    opened.upsert_clips("c", clips_table(["clip_9"], ["val"], {}))
    context = Context(
        opened, "c", context.settings, context.folder, context.features, progress=Progress()
    )
    found = recipe.predict(context, "val")
    values = np.array([row[1:] for row in found.rows], float)
    assert len(values) == 4
    assert values[3] == pytest.approx(values[:3].mean(0), abs=1e-5)
    assert found.notes == ["clip_9 has no features; its row is the mean of the others"]
    said = Said()
    recipe.evaluate(replace(context, progress=said), "val")
    assert said.lines == ["1 clip of c val left out: no sphereface"]
