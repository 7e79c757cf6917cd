"""kuhnke2020: sizes, settings, what it starts from, stages that go on where they stopped."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from features import weights
from features.nets.filling import random_state
from features.nets.r2plus1d18 import R2Plus1D18
from features.nets.resnet18 import ResNet18
from features.nets.tsav import TwoStream
from features.spec import FeatureSpec, Rows
from features.weights.adding import add
from storage.errors import NotPublished
from tests.trainers.face_kit import LABELS, made_face_store
from tests.trainers.test_checkpoint_loop import Said
from tests.trainers.trainer_kit import published
from trainers.abaw.chosen import view_of, ways_of
from trainers.abaw.start import AURAL, RELEASED, VISUAL, begin_public, begin_released
from trainers.abaw.task import FACES, MAPS, MASKS, inputs_of
from trainers.errors import RunMismatch, WrongSetting, WrongTrainDevice
from trainers.loop import Progress
from trainers.recipe import Context, Outcome
from trainers.recipes.kuhnke2020 import REFITTED, WEIGHTS, Kuhnke2020, _network
from trainers.run import RunConfig, open_run, start
from trainers.settings import parse

SMALL = (
    "model.scale=0.03125",
    "model.side=28",
    "model.frames=2",
    "model.units=AU12",
    "train.epochs=3",
    "train.patience=0",
    "train.epoch_frames=20",
    "train.batch=4",
    "train.accumulate=2",
    "train.val_stride=1",
    "train.threads=1",
    "train.pseudo=VAE",
)


def made(*texts: str) -> Any:
    return parse(Kuhnke2020.kind, texts)


@pytest.mark.parametrize(
    ("texts", "documented", "outputs"),
    [
        ((), 42_489_995, 17),
        (("model.mask=false",), 42_487_790, 17),
        (("model.streams=visual",), 31_311_051, 17),
        (("model.streams=aural",), 11_178_961, 17),
        (("model.expressions=8", "model.units=AU1,AU2,AU4"), 42_485_895, 13),
    ],
)
def test_parameters_are_as_many_as_the_layers_say(
    texts: tuple[str, ...], documented: int, outputs: int
) -> None:
    settings = made(*texts)
    # torchvision's own counts, less the last layers, for the channels that are there
    visual = 31_505_325 - (512 * 400 + 400) + 45 * 7 * 7 * (1 if settings.model.mask else 0)
    aural = 11_689_512 - (512 * 1000 + 1000) - 64 * 7 * 7 * 2
    there = {"both": visual + aural, "visual": visual, "aural": aural}[settings.model.streams]
    joined = 1024 if settings.model.streams == "both" else 512
    with torch.device("meta"):
        net = _network(settings)
    count = sum(p.numel() for p in net.parameters())
    assert count == there + (joined + 1) * outputs == documented


@pytest.mark.parametrize(
    ("texts", "features"),
    [
        ((), ("timeline", "face_112", "face_mask", "logmel_64")),
        (("model.mask=false",), ("timeline", "face_112", "logmel_64")),
        (("model.streams=visual",), ("timeline", "face_112", "face_mask")),
        (("model.streams=aural",), ("timeline", "logmel_64")),
        (
            ("model.alignment=provided", "model.mask=false"),
            ("timeline", "faces_provided", "logmel_64"),
        ),
    ],
)
def test_an_ablation_reads_no_more_than_it_needs(
    texts: tuple[str, ...], features: tuple[str, ...]
) -> None:
    recipe, settings = Kuhnke2020(), made(*texts)
    assert recipe.features(settings, ()) == features
    bound = ("face_112.points=landmarks_68",) if "face_112" in features else ()
    assert recipe.extractor_settings(settings) == bound


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("model.alignment=provided",), r"model\.alignment=provided: .*set model.mask=false too"),
        (("model.start=released", "model.streams=visual"), "of both streams, with mask"),
        (("train.load=ram",), "crops don't fit into memory"),
        (("train.pseudo=X",), "train.pseudo"),
    ],
)
def test_what_does_not_go_together_is_refused(texts: tuple[str, ...], said: str) -> None:
    with pytest.raises(WrongSetting, match=said):
        made(*texts)


def test_streams_start_from_public_weights(tmp_path: Path) -> None:
    stages = (4, 8, 16, 32)
    visual, aural = random_state(R2Plus1D18(stages=stages)), random_state(ResNet18(stages=stages))
    paths = {VISUAL: tmp_path / "v.safetensors", AURAL: tmp_path / "a.safetensors"}
    save_file(visual, paths[VISUAL])
    save_file(aural, paths[AURAL])
    net = TwoStream(scale=1 / 16)
    own = net.state_dict()["video_model.r2plus1d.stem.0.weight"].clone()
    assert begin_public(net, paths) == [
        f"visual stream: starts from weights {VISUAL}",
        f"aural stream: starts from weights {AURAL}",
    ]
    state = net.state_dict()
    stem = state["video_model.r2plus1d.stem.0.weight"]
    assert torch.equal(stem[:, :3], visual["stem.0.weight"])
    assert torch.equal(stem[:, 3], own[:, 3])  # the mask's keep their own start
    mean = aural["conv1.weight"].mean(1, keepdim=True)
    assert torch.equal(state["audio_model.resnet.conv1.weight"], mean)
    for name in ("layer4.1.conv2.0.3.weight", "layer1.0.conv1.1.running_var"):
        assert torch.equal(state[f"video_model.r2plus1d.{name}"], visual[name])
    assert torch.equal(state["audio_model.resnet.layer3.0.bn2.bias"], aural["layer3.0.bn2.bias"])

    bare = TwoStream(scale=1 / 16, channels=3, streams=("visual",))
    said = begin_public(bare, {})
    assert said == [f"visual stream: from scratch: weights {VISUAL} aren't there "
                    f"(affectstore weights show {VISUAL})"]  # fmt: skip
    begin_public(bare, paths)
    assert torch.equal(bare.state_dict()["video_model.r2plus1d.stem.0.weight"], stem[:, :3])


def test_the_authors_checkpoint_is_taken_tensor_by_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    with torch.device("meta"):
        shapes = {name: t.shape for name, t in TwoStream().state_dict().items()}
    # names that the authors' classes give
    assert "audio_model.resnet.layer4.1.bn2.weight" in shapes
    assert "video_model.r2plus1d.layer1.0.conv1.0.3.weight" in shapes
    assert shapes["video_model.r2plus1d.stem.0.weight"] == (45, 4, 1, 7, 7)
    assert shapes["fc.1.weight"] == (17, 1024)
    numbers = {n: hashlib.sha256(n.encode()).digest()[0] / 256 for n in shapes}
    # one number a tensor: the file is small, though its tensors are of full size
    state = {n: torch.tensor(numbers[n]).expand(shape) for n, shape in shapes.items()}
    document = {"epoch": 17, "state_dict": state, "optimizer": {"lr": 1e-3}}
    torch.save(document, tmp_path / "TSAV_Sub4_544k.pth.tar")
    add(RELEASED, [tmp_path / "TSAV_Sub4_544k.pth.tar"])

    net = TwoStream()
    with pytest.raises(WrongSetting, match="affectstore weights add tsav FILE"):
        begin_released(net, {})
    begin_released(net, {RELEASED: weights.proved(RELEASED)})
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert tensor.min() == tensor.max() == pytest.approx(numbers[name]), name

    released = ways_of(made("model.start=released"), 1)
    values = {FACES: torch.zeros(1, 8, 112, 112, 3, dtype=torch.uint8)}
    values |= {MASKS: values[FACES][..., 0], MAPS: torch.zeros(1, 1001, 64)}
    clips, maps = inputs_of(values, released)
    assert clips is not None
    assert maps is not None
    assert (clips.shape, maps.shape) == ((1, 4, 8, 112, 112), (1, 1, 64, 1001))
    with torch.inference_mode():
        assert net.eval()(clips, maps).shape == (1, 17)


def test_released_weights_bring_the_authors_rules_with_them() -> None:
    recipe, released = Kuhnke2020(), made("model.start=released")
    assert recipe.pretrained(released) == (RELEASED,)
    assert recipe.pretrained(made()) == (VISUAL, AURAL)
    assert recipe.pretrained(made("model.streams=aural")) == (AURAL,)
    assert recipe.pretrained(made("model.scale=0.5")) == ()
    assert (view_of(released).border, view_of(made()).border) == ("released", "centred")
    theirs, ours = ways_of(released, 1), ways_of(made(), 1)
    assert (theirs.threshold, theirs.bands_first) == ("released", True)
    assert (ours.threshold, ours.bands_first) == ("sigmoid", False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made_face_store(tmp_path_factory.mktemp("kuhnke") / "store").root


def context(store: str, folder: Path, *texts: str, progress: Progress | None = None) -> Context:
    recipe = Kuhnke2020()
    settings = made(*SMALL, *texts)
    config = RunConfig(
        "kuhnke2020", store, "c", settings.model_dump(), recipe.features(settings, ())
    )
    return start(config, folder, progress or Progress())[1]


def train(store: str, folder: Path, *texts: str, progress: Progress | None = None) -> Outcome:
    return Kuhnke2020().train(context(store, folder, *texts, progress=progress))


def test_a_training_that_is_stopped_in_either_stage_ends_with_the_same_weights(
    store: str, tmp_path: Path
) -> None:
    whole = train(store, tmp_path / "whole")
    assert whole.details["refit_steps"] == -(-125 * 3 * whole.details["best_epoch"] // 100)
    for stop in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train(store, tmp_path / "cut", progress=Said(stop_after=stop))
    with pytest.raises(KeyboardInterrupt):  # the first stage is over: this one is in the second
        train(store, tmp_path / "cut", progress=Refitting())
    assert (tmp_path / "cut" / WEIGHTS).is_file()
    assert not (tmp_path / "cut" / REFITTED).is_file()
    said = Said()
    Kuhnke2020().predict(context(store, tmp_path / "cut", progress=said), None)
    assert any("train and val together isn't finished" in line for line in said.lines)
    said = Said()
    again = train(store, tmp_path / "cut", progress=said)
    assert "going on after epoch 1" in said.lines
    strip = ("seconds", "data_seconds")
    for one, two in zip(whole.history, again.history, strict=True):
        assert {k: v for k, v in one.items() if k not in strip} == {
            k: v for k, v in two.items() if k not in strip
        }
    for name in (WEIGHTS, REFITTED):
        first, second = (load_file(tmp_path / run / name) for run in ("whole", "cut"))
        assert all(torch.equal(first[key], second[key]) for key in first)


class Refitting(Said):
    """Stops in the second epoch of the second stage."""

    def say(self, line: str) -> None:
        super().say(line)
        if line.startswith("train and val together"):
            self.stop_after = 1


def test_in_bfloat16_the_cpu_learns_of_sound_alone(store: str, tmp_path: Path) -> None:
    chosen = ("train.device=cpu", "train.precision=bf16", "train.epochs=1", "train.refit=false")
    with pytest.raises(WrongTrainDevice, match=r"3D convolutions.*train\.precision=fp32"):
        train(store, tmp_path / "both", *chosen)
    assert train(store, tmp_path / "aural", *chosen, "model.streams=aural").metrics


def test_a_control_learns_other_labels_and_is_not_refitted(store: str, tmp_path: Path) -> None:
    out = train(store, tmp_path, "train.shuffle_labels=true", "train.epochs=1")
    assert "CONTROL: trained on other clips' labels" in out.notes
    assert not (tmp_path / REFITTED).is_file()


@pytest.mark.parametrize(
    "texts",
    [
        ("model.streams=aural",),
        ("model.streams=visual", "model.mask=false"),
        ("train.filter=false", "train.pseudo=none"),
        ("train.pseudo=VAE", "train.ccc_divide=true", "model.bands=first", "model.fps=30"),
    ],
)
def test_every_ablation_trains_scores_and_predicts(
    store: str, tmp_path: Path, texts: tuple[str, ...]
) -> None:
    once = ("train.epochs=1", "train.refit=false", "train.epoch_frames=8")
    out = train(store, tmp_path, *once, *texts)
    held = context(store, tmp_path, *once, *texts)
    assert out.metrics == pytest.approx(dict(Kuhnke2020().evaluate(held, "val")), nan_ok=True)
    assert {"va", "ex", "au", "score"} <= set(out.metrics)
    assert any(note.startswith("filter: ") for note in out.notes) == (
        "train.filter=false" not in texts
    )
    found = Kuhnke2020().predict(held, "val")
    by_clip = {c: [r for r in found.rows if r[0] == c] for c in ("one", "three")}
    assert [len(rows) for rows in by_clip.values()] == [60, 10]
    assert all(r[2] is None and r[4] is not None and r[5] is None for r in by_clip["one"])
    assert all(r[2] is not None for r in by_clip["three"])


def test_labels_that_are_not_learned_are_told(tmp_path: Path) -> None:
    store = made_face_store(tmp_path / "store")
    units = FeatureSpec("label.AU7", "frame", (), "int8")
    rows = [Rows(np.ones(n, np.int8), np.ones(n, bool)) for n in (60, 20, 10)]
    store.commit(published(store, units, ["one", "two", "three"], rows))
    small = ("train.epochs=1", "train.refit=false", "train.epoch_frames=8", "model.streams=aural")
    first = train(store.root, tmp_path / "a", *small, "model.units=AU1,AU12", "model.expressions=5")
    assert (
        "action units: AU1 of no clip; AU7 aren't learned; model.units=AU7,AU12 takes those that "
        "the corpus has" in first.notes
    )
    told = [note for note in first.notes if "an expression from 5 on" in note]
    beyond = {
        split: sum(
            int((store.read(clip, "label.expression", corpus="c").values >= 5).sum())
            for clip in clips
        )
        for split, clips in {"train": ["two"], "val": ["one", "three"]}.items()
    }
    assert [note.split(" frames")[0] for note in told] == [
        f"{split}: {beyond[split]}" for split in ("val", "train")
    ]
    second = train(store.root, tmp_path / "b", *small, "model.units=AU7,AU12")
    assert not any("action units" in note or "on and don't" in note for note in second.notes)


def test_clips_without_features_and_labels_that_are_cut_are_told(tmp_path: Path) -> None:
    store = made_face_store(tmp_path / "store")
    rows = store.clips("c").to_pylist()
    # of two clips without features one is of the split, in one task
    for name, split in (("bare_0", "train"), ("bare_1", "val")):
        more = {f"label.split_{t}": "train" for t in ("va", "au")} | {"label.split_expr": split}
        rows.append({**rows[0], "clip": name, "split": "train"} | more)
    store.upsert_clips("c", pa.Table.from_pylist(rows, schema=store.clips("c").schema))
    known = np.ones(13, bool)
    longer = [Rows(np.linspace(-1, 1, 13).astype(np.float32), known)]
    store.commit(published(store, LABELS["valence"], ["three"], longer))
    once = ("train.epochs=1", "train.refit=false", "train.epoch_frames=8", "model.streams=aural")
    outcome = train(store.root, tmp_path / "run", *once)
    cut = "val: 1 clips have labels of more or fewer rows than frames"
    assert cut in outcome.notes
    said = Said()
    held = context(store.root, tmp_path / "run", *once, progress=said)
    lacking = "1 clip of c left out: no timeline"
    Kuhnke2020().evaluate(held, "val")
    assert {cut, lacking} <= set(said.lines)
    assert lacking in Kuhnke2020().predict(held, "val").notes
    assert "2 clips of c left out: no timeline" in Kuhnke2020().predict(held, None).notes
    with pytest.raises(NotPublished, match="no clip of split other"):
        Kuhnke2020().evaluate(held, "other")


def test_another_store_must_have_the_configuration_that_was_learned_from(
    store: str, tmp_path: Path
) -> None:
    recipe, settings = Kuhnke2020(), made(*SMALL)
    features = recipe.features(settings, ())
    name, made_by = "kuhnke2020-12345678", {"face_112": {"points": "landmarks_68"}}
    config = RunConfig(
        recipe.name, store, "c", settings.model_dump(), features, variant=name, extractors=made_by
    )
    start(config, tmp_path / "run", Progress())
    other = made_face_store(tmp_path / "other").root
    with pytest.raises(RunMismatch, match=rf"config set -s .* --variant {name} face_112\.points"):
        open_run(tmp_path / "run", Progress(), store=other)
