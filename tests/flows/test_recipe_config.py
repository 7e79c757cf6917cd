"""What a run is asked for: its features, its store, its settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.spec import FeatureSpec, Rows
from flows.recipe import make_config, train
from storage import FeatureStore
from tests.trainers.trainer_kit import made_store, published
from trainers.errors import NothingToTrain
from trainers.loop import Progress
from trainers.recipe import recipe
from trainers.settings import TrainSettings, parse

OPENFACE = FeatureSpec("openface", "frame", (4,), "float32")
AUDIO = ("model.branches=audio", "model.scale=.1", "train.epochs=1", "train.device=cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return made_store(tmp_path_factory.mktemp("config") / "s", rows=20)


def with_openface(root: Path, clips: int) -> FeatureStore:
    made = made_store(root, rows=20)
    names = made.clips("c")["clip"].to_pylist()[:clips]
    rows = [
        Rows(np.zeros((20 - i % 3, 4), np.float32), np.ones(20 - i % 3, bool)) for i in range(clips)
    ]
    made.commit(published(made, OPENFACE, names, rows))
    return made


@pytest.mark.parametrize(("clips", "pose"), [(3, "facemesh_714"), (12, "openface")])
def test_a_pose_that_all_clips_have_is_preferred(
    clips: int, pose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AFFECTSTORE_OPENFACE_BINARY", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    root = with_openface(tmp_path / "s", clips).root
    assert make_config("rasipuram2020", root, "c", []).features[-1] == pose


def test_a_store_is_one_run_by_whatever_path(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(store.root)
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(root.parent)
    spelt = ["s", "./s", f"../{root.parent.name}/s", str(root), str(tmp_path / "link")]
    found = [make_config("rasipuram2020", name, "c", list(AUDIO)) for name in spelt]
    assert len({config.id for config in found}) == 1
    assert found[0].store == str(root.resolve())


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        (["train.val_split=dev"], r"Splits are train \(8 clips\), val \(4 clips\)", "run-recipe"),
        (["model.audio=openface_x"], "openface_x was never published", "Splits|run-recipe"),
    ],
)
def test_what_to_do_is_said_of_what_is_lacking(
    settings: list[str], said: str, unsaid: str, store: FeatureStore, tmp_path: Path
) -> None:
    config = make_config("rasipuram2020", store.root, "c", [*AUDIO, *settings])
    with pytest.raises(NothingToTrain, match=said) as caught:
        train(config, tmp_path / "run", Progress())
    assert not any(word in str(caught.value) for word in unsaid.split("|"))


def test_a_frame_feature_where_one_of_clips_is_wanted(store: FeatureStore, tmp_path: Path) -> None:
    config = make_config("guo2018_svm", store.root, "c", ["model.audio=mfcc_mel"])
    with pytest.raises(NothingToTrain, match=r"mfcc_mel has rows per frame, not per clip$"):
        train(config, tmp_path / "run", Progress())


def test_what_was_not_extracted_is_named(store: FeatureStore, tmp_path: Path) -> None:
    config = make_config("rasipuram2020", store.root, "c", [*AUDIO, "model.audio=logmel_64"])
    with pytest.raises(NothingToTrain, match="run-recipe extracts logmel_64"):
        train(config, tmp_path / "run", Progress())


def test_numbers_are_names_where_a_name_is_asked_for() -> None:
    kind = recipe("guo2018").kind
    texts = ["train.split=1", 'train.val_split="2"', "train.fer_corpus=2013", "train.seed=3"]
    found = parse(kind, texts).train
    assert isinstance(found, TrainSettings)
    assert (found.split, found.val_split, found.seed) == ("1", "2", 3)
    assert found.fer_corpus == "2013"  # type: ignore[attr-defined]


def test_recipes_are_listed_without_torch() -> None:
    code = (
        "import sys; from flows.cli.recipes import list_recipes; list_recipes(json=True); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"kuhnke2020"' in done.stdout
