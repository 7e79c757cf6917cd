"""Another build of OpenFace: it and what reads it are planned again, and nothing else."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from features.errors import ToolDiffers
from features.openface.settings import PREFIX
from flows.pipeline import Settings, configure, instantiate
from flows.recipe import known_features
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.summary import Summary
from storage import FeatureStore
from tests.containers.replay import A02, Programs
from tests.features.made_clips import make_clip
from tests.flows.openface_kit import CORPUS, new_store
from trainers.recipes.rasipuram2020 import RECIPE

pytestmark = pytest.mark.media

FRAMES = 3
BOUND: Settings = {"expnet": {"face": "openface_face_112", "weights": "random"}}
ASKED = "openface,openface_face_112,expnet,mfcc_mel"


@pytest.fixture
def store(programs: Programs, tmp_path: Path) -> FeatureStore:
    """A clip of three frames, for which the program writes a face each."""
    clip = make_clip(tmp_path / "clip.mp4", seconds=FRAMES / 10)
    programs.replay(clip, A02, behaviour=f"start {FRAMES + 1}", faces=FRAMES)
    made = new_store(tmp_path, [clip])
    assert extracted(made).complete
    return made


def request(store: FeatureStore) -> Request:
    return Request(store.root, ASKED, settings=BOUND)


def extracted(store: FeatureStore) -> Summary:
    return extract_plain(request(store))


def another_build(programs: Programs) -> None:
    with programs.binary.open("a") as file:
        file.write("# another build\n")


def test_another_build_plans_openface_and_what_reads_it_and_nothing_else(
    store: FeatureStore, programs: Programs
) -> None:
    assert plan_request(store, request(store)).tasks == 0
    builds = [hashlib.sha256(programs.binary.read_bytes()).hexdigest()]
    another_build(programs)
    builds.append(hashlib.sha256(programs.binary.read_bytes()).hexdigest())
    made = plan_request(store, request(store))
    why = "tool openface binary {:.12}→binary {:.12}".format(*builds)
    certain = {name: f.reasons for name, f in made.by_feature.items() if f.clips}
    assert certain == {"openface": {why: 1}, "openface_face_112": {why: 1}}
    assert {name for name, f in made.by_feature.items() if f.maybe} == {"expnet"}
    summary = extracted(store)
    assert summary.by_feature == {"openface": 1, "openface_face_112": 1}
    assert summary.cut_off == 1, "the faces are as they were, so that expnet is too"


def test_a_machine_with_another_build_computes_nothing_under_the_plans_key(
    programs: Programs,
) -> None:
    (node,) = (n for n in configure({}).nodes if n.feature == "openface")
    assert instantiate(node, "cpu") is not None
    another_build(programs)
    with pytest.raises(ToolDiffers, match=r"openface is binary \w+ on this machine, binary \w+ in"):
        instantiate(node, "cpu")


def test_of_what_reads_it_the_rows_that_changed_are_computed(
    store: FeatureStore, programs: Programs
) -> None:
    before = store.published(features=["expnet"])[-1]
    another_build(programs)
    (packed,) = programs.folder.glob("replay/*.tar.gz")
    unpacked = programs.folder / "faces"
    with tarfile.open(packed) as tar:
        tar.extractall(unpacked, filter="data")
    shutil.copy(unpacked / "frame_det_00_000003.bmp", unpacked / "frame_det_00_000002.bmp")
    with tarfile.open(packed, "w:gz") as tar:
        for path in sorted(unpacked.iterdir()):
            tar.add(path, path.name)
    summary = extracted(store)
    assert summary.by_feature == {"openface": 1, "openface_face_112": 1, "expnet": 1}
    after = store.published(features=["expnet"])[-1]
    assert (after.computed, after.reused) == (1, 2)
    old, new = (store.read_result(result).values for result in (before, after))
    np.testing.assert_array_equal(old[[0, 2]], new[[0, 2]])
    np.testing.assert_array_equal(new[1], new[2])


def test_rasipuram2020_reads_openface_where_it_can_be_had(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pose() -> str:
        known = known_features(FeatureStore.open(store.root), CORPUS, None)
        return RECIPE.features(RECIPE.kind(), known)[-1]

    clip = make_clip(tmp_path / "clip.mp4", seconds=FRAMES / 10)
    programs.replay(clip, A02, behaviour=f"start {FRAMES + 1}")
    store = new_store(tmp_path, [clip])
    assert pose() == "openface"
    monkeypatch.delenv(f"{PREFIX}BINARY")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert pose() == "facemesh_714"
    monkeypatch.setenv(f"{PREFIX}BINARY", str(programs.binary))
    assert extract_plain(Request(store.root, "openface")).complete
    monkeypatch.delenv(f"{PREFIX}BINARY")
    assert pose() == "openface", "it is published"
