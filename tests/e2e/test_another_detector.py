"""Another detector, or another weights file: why it runs, what it computes, what stays readable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from corpora.adapters import load
from features import weights
from features.nets.filling import random_state
from features.nets.sphere20a import Sphere20a
from features.weights.adding import add as add_weights
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.real_clips import BASIC

pytestmark = pytest.mark.media
CLIP = "a07_three_people_no_audio"
CROPS = ("face_112", "face_112x96")


@pytest.fixture
def store(short_media: Path, tmp_path: Path) -> FeatureStore:
    """A short real clip of three people, ingested."""
    made = FeatureStore.create(tmp_path / "store")
    ingest_manifest(made, load(None, str(short_media / f"{CLIP}.mp4"), "real"))
    return made


def extracted(store: FeatureStore, features: str, *settings: str) -> dict[str, tuple[int, int]]:
    """Feature -> rows computed and reused by an extract."""
    request = Request(store.root, features, settings=parse_settings(settings))
    summary = extract_plain(request)
    assert summary.complete
    rows = (r for r in store.published() if r.run == summary.run)
    return {r.feature: (r.computed, r.reused) for r in rows}


def add(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Put SphereFace's weights into the registry's folder, as a user does."""
    torch.save(state, folder / "sphere.pth")
    add_weights("sphere20a", [folder / "sphere.pth"], unknown=True)


def changed(old: FeatureStore, new: FeatureStore, feature: str, variant: str | None) -> int:
    """By brute force: rows whose values or validity differ."""
    one, other = old.read(CLIP, feature), new.read(CLIP, feature, variant=variant)
    differ = (one.values != other.values) & ~(np.isnan(one.values) & np.isnan(other.values))
    return int((differ.reshape(len(one), -1).any(1) | (one.valid != other.valid)).sum())


def test_another_backend_computes_the_rows_that_it_changes(store: FeatureStore) -> None:
    extracted(store, BASIC)
    store.tag("before")
    setting = "faces.backend=dlib"
    plan = plan_request(store, Request(store.root, BASIC, settings=parse_settings([setting])))
    reasons = {name: f.reasons for name, f in plan.by_feature.items() if f.clips}
    assert reasons == {"faces": {"parameter faces.backend mtcnn→dlib": 1}}
    made = extracted(store, BASIC, setting)
    assert set(made) <= {"faces", "identity", "face_track", *CROPS}
    variant = f"run:{max(store.published(), key=lambda r: r.time).run}"
    before = FeatureStore.open(store.root, at="before")
    for crop in CROPS:
        moved = changed(before, store, crop, variant)
        assert moved > 0
        assert made[crop] == (moved, 30 - moved)
    assert changed(before, store, "face_112", None) == 0


@pytest.mark.long
def test_another_weights_file_runs_what_it_is_for_and_no_more(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    state = random_state(Sphere20a())
    add(state, tmp_path)
    features = f"{BASIC},sphereface"
    extracted(store, features)
    store.tag("before")
    state["fc5.bias"] += 1
    add(state, tmp_path)
    plan = plan_request(store, Request(store.root, features))
    reasons = {name: f.reasons for name, f in plan.by_feature.items() if f.clips or f.maybe}
    assert reasons == {"sphereface": {"weights changed": 1}}
    before = FeatureStore.open(store.root, at="before")
    old = before.read(CLIP, "sphereface")
    assert extracted(store, features) == {"sphereface": (30, 0)}
    assert changed(before, store, "sphereface", None) == old.valid.sum() > 0
    np.testing.assert_array_equal(before.read(CLIP, "sphereface").values, old.values)
