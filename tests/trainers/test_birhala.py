"""The parts of birhala2020: segments, folds of actors, what is picked, the networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from storage import FeatureStore
from storage.clip_view import ClipView
from storage.selection import select_clips
from tests.trainers.trainer_kit import EMOTIONS, made_store
from trainers.clips import Clips
from trainers.errors import NothingToTrain, RunMismatch
from trainers.folded import Folded
from trainers.folds import subject_folds
from trainers.loop import Progress
from trainers.models.segment_nets import SegmentNets
from trainers.recipe import Context, recipe
from trainers.recipes.birhala2020 import Birhala2020, BirhalaSettings, Segments, _optimizer
from trainers.settings import parse
from trainers.targets import Classes


def test_folds_of_ninety_one_actors_are_nine_of_nine_and_one_of_ten() -> None:
    clips = [str(1001 + i // 82) for i in range(7442)]
    held, subjects = subject_folds(clips, 10, seed=0)
    assert sorted(map(len, subjects)) == [9] * 9 + [10]
    assert len({name for names in subjects for name in names}) == 91
    assert all(name in subjects[fold] for name, fold in zip(clips, held.tolist(), strict=True))
    assert subject_folds(clips, 10, seed=0)[1] == subjects
    assert subject_folds(clips, 10, seed=1)[1] != subjects
    with pytest.raises(NothingToTrain, match="each clip's subject"):
        subject_folds(["a", None], 2, seed=0)


@pytest.mark.parametrize(
    ("segments", "parameters"), [(1, 780_294), (8, 6_242_352), (10, 7_802_940)]
)
def test_networks_have_the_documented_size(segments: int, parameters: int) -> None:
    with torch.device("meta"):
        net = SegmentNets(segments, 6).eval()
        given = {
            "face": torch.zeros(2, segments, 224, 224, 3, dtype=torch.uint8),
            "sound": torch.zeros(2, segments, 192, 120),
        }
        assert net(given).shape == (2, 6)
    assert sum(p.numel() for p in net.parameters()) == parameters
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    assert f"{parameters:,}" in text


def test_class_scores_are_the_sum_of_the_segments_probabilities() -> None:
    torch.manual_seed(0)
    net = SegmentNets(3, 4, scale=0.1).eval()
    rng = np.random.default_rng(0)
    face = torch.from_numpy(rng.integers(0, 255, (2, 3, 32, 32, 3), np.uint8))
    sound = torch.from_numpy(rng.normal(size=(2, 3, 24, 16)).astype(np.float32))
    each = [
        part(face[:, i].permute(0, 3, 1, 2) / 255, sound[:, i, None]).softmax(-1)
        for i, part in enumerate(net.nets)
    ]
    with torch.inference_mode():
        found = net({"face": face, "sound": sound})
    torch.testing.assert_close(found.exp(), torch.stack(each).mean(0))
    # cross-entropy of log probabilities is that of the aggregated probability itself
    wanted = torch.tensor([1, 3])
    loss = nn.functional.cross_entropy(found, wanted)
    assert float(loss) == pytest.approx(float(-found.exp()[[0, 1], wanted].log().mean()))


class OneClip:
    """A clip of 20 frames at odd times with 3 s of sound from .5 s on; two frames lack a face."""

    times_ = np.arange(20) * 0.1 + 0.8
    valid_ = ~np.isin(np.arange(20), (4, 5))
    sound = np.arange(600, dtype=np.float32)[:, None] + np.zeros(192, np.float32)
    clip = SimpleNamespace(results={"spectrogram_192x120": SimpleNamespace(t0=0.5)})

    def rows(self, feature: str) -> int:
        return 20

    def times(self, feature: str) -> NDArray[np.float64]:
        return self.times_

    def valid(self, feature: str) -> NDArray[np.bool_]:
        return self.valid_ if feature == "face_224" else np.arange(600) < 450

    def nearest(self, feature: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(rows == 4, 3, np.where(rows == 5, 6, rows))

    def take(self, feature: str, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        return np.zeros((len(rows), 2, 2, 3), np.uint8) + rows[:, None, None, None].astype(np.uint8)

    def all(self, feature: str) -> NDArray[np.float32]:
        return self.sound


def middles(picked: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float64]:
    """Seconds in the middle of the windows of a sound whose row i holds i."""
    return 0.5 + picked["sound"][0, :, 0, 59:61].mean(1).astype(np.float64) * 0.005


def test_sound_lies_round_the_frame_that_is_seen() -> None:
    view = cast(ClipView, OneClip())
    picked = Segments(2, 0.01)(view, None)
    assert picked["face"].shape == (1, 2, 2, 2, 3)
    assert picked["sound"].shape == (1, 2, 192, 120)
    # frame 5 has no face; 6 is the nearest that does, but the sound stays where frame 5 is
    assert picked["face"][0, :, 0, 0, 0].tolist() == [6, 15]
    assert middles(picked) == pytest.approx(OneClip.times_[[5, 15]], abs=0.006)
    # rows without sound are silent, not NaN
    assert picked["sound"].min() == pytest.approx(np.log(1e-6))


def test_windows_move_by_the_jitter_in_training_only() -> None:
    view = cast(ClipView, OneClip())
    apart = []
    for seed in range(200):
        picked = Segments(1, 0.05)(view, np.random.default_rng(seed))
        frame = int(picked["face"][0, 0, 0, 0, 0])
        if frame not in (3, 6) and 0.8 < OneClip.times_[frame] < 2.3:
            apart.append(float(middles(picked)[0] - OneClip.times_[frame]))
    assert max(np.abs(apart)) < 0.056
    assert max(apart) > 0.03
    assert min(apart) < -0.03
    again = [Segments(1, 0.05)(view, None)["sound"] for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_the_rate_falls_by_epochs_or_by_steps_of_an_epoch() -> None:
    kind = Birhala2020().kind
    for decay, expected in (("epochs", (1e-3, 1e-3)), ("steps", (1e-5, 1e-3))):
        settings = cast(BirhalaSettings, parse(kind, [f"train.lr_decay={decay}"]))
        optimizer, schedule = _optimizer(settings.train, nn.Linear(1, 1))
        for _ in range(100):
            optimizer.step()
        inside = optimizer.param_groups[0]["lr"]
        schedule.step()
        assert (inside, optimizer.param_groups[0]["lr"]) == pytest.approx(expected)
    settings = cast(BirhalaSettings, parse(kind, []))
    optimizer, schedule = _optimizer(settings.train, nn.Linear(1, 1))
    for _ in range(50):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)


def test_settings_are_the_papers() -> None:
    settings = cast(BirhalaSettings, recipe("birhala2020").kind())
    assert (settings.model.n_segments, settings.model.jitter) == (10, 0.01)
    assert (settings.train.folds, settings.train.lr, settings.train.momentum) == (10, 1e-3, 0.9)
    with pytest.raises(ValueError, match=r"model\.n_segments=11"):
        parse(Birhala2020().kind, ["model.n_segments=11"])


class Small(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(12, classes)

    def forward(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = self.layer(values["x"])
        return out


def folded(store: FeatureStore, folder: Path, progress: Progress) -> tuple[Folded, Clips]:
    settings = parse(Birhala2020().kind, ["train.epochs=3", "train.batch=4"])
    context = Context(store, "c", settings, folder, ("opensmile_is10",), progress=progress)
    selection = select_clips(store, ("opensmile_is10",), "c", labels=("emotion",))

    def whole(view: ClipView, rng: object) -> dict[str, Any]:
        return {"x": view.all("opensmile_is10")}

    def sgd(model: nn.Module) -> tuple[torch.optim.Optimizer, None]:
        return torch.optim.SGD(model.parameters(), lr=0.1), None

    folder.mkdir(exist_ok=True)
    target = Classes("emotion", EMOTIONS)
    return Folded(context, Small, sgd, target, keep_last=True), Clips(selection, whole)


def test_a_stop_inside_a_fold_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    store = made_store(tmp_path / "store", rows=8)

    class Stop(Progress):
        epochs = 0

        def epoch_done(self, entry: Mapping[str, float]) -> None:
            self.epochs += 1
            if self.epochs == 5:
                raise KeyboardInterrupt

    whole, clips = folded(store, tmp_path / "a", Progress())
    expected = whole.by_subject(clips, 3)
    stopped, clips = folded(store, tmp_path / "b", Stop())
    with pytest.raises(KeyboardInterrupt):
        stopped.by_subject(clips, 3)
    assert [p.parent.name for p in (tmp_path / "b").glob("*/fold.json")] == ["fold-01"]
    # of clips that fold 2 or 3 would hold out, fold 1 has learned: it must not be asked
    with pytest.raises(RunMismatch, match="no trained fold-02, fold-03; train first"):
        stopped.answers(clips, 3)
    again, clips = folded(store, tmp_path / "b", Progress())
    found = again.by_subject(clips, 3)
    assert [f.metrics for f in found] == [f.metrics for f in expected]
    # a fold whose model was removed, since it was damaged, is trained again
    (tmp_path / "b" / "fold-02" / "model.safetensors").unlink()
    again.by_subject(clips, 3)
    for i in (1, 2, 3):
        name = f"fold-0{i}/model.safetensors"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    # of a stranger, all folds are asked; of one they know, the one that never met him
    answers = again.answers(clips, 3)
    strange, _ = folded(store, tmp_path / "b", Progress())
    for file in (tmp_path / "b").glob("*/fold.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"corpus": "other"}))
    everybody = strange.answers(clips, 3)
    assert np.abs(answers - everybody).max() > 1e-3
    assert everybody.sum(1) == pytest.approx(1)
