"""Runs and ingests leave no rows that nobody names: ``verify`` can't tell whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from corpora.manifest import ClipEntry, FrameLabels, Manifest
from features.extractor import Batch, extractor
from features.spec import FeatureSpec, Rows
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from storage.forget import forget
from storage.inventory import take_inventory
from storage.verify import verify
from tests.features.made_clips import make_clip
from tests.flows import chain_kit

CLIPS = ("a", "b", "d")
FRAMES = {"a": 10, "b": 20, "d": 30}


@extractor(name="pair", version=1, inputs={"light": "light"}, scope="clip")
class Pair(chain_kit.Base):
    """Two features, of which the second one lacks a row where a clip has twenty frames."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (chain_kit.spec("first"), chain_kit.spec("second"))

    def extract(self, batch: Batch) -> Mapping[str, Rows]:
        light = np.asarray(batch.inputs["light"].values[:, 0])
        return {
            "first": chain_kit.column(light),
            "second": chain_kit.column(light[1:] if len(light) == FRAMES["b"] else light),
        }


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with chain_kit.installed(monkeypatch, (*chain_kit.ALL, Pair)):
        yield


@pytest.fixture
def media(tmp_path: Path) -> Path:
    for clip, rate in FRAMES.items():
        picture = f"testsrc2=size=64x48:rate={rate}"
        make_clip(tmp_path / f"{clip}.mp4", picture=picture, seconds=1.0, sound=False)
    return tmp_path


def manifest(media: Path, changed: str = "") -> Manifest:
    def labels(clip: str) -> tuple[FrameLabels, ...]:
        values = np.arange(FRAMES[clip], dtype=np.float32) + (5 if clip == changed else 0)
        return (FrameLabels("arousal", values, np.ones(FRAMES[clip], bool)),)

    clips = tuple(ClipEntry(clip, str(media / f"{clip}.mp4")) for clip in CLIPS)
    return Manifest("c", clips, {clip: labels(clip) for clip in CLIPS})


def test_labels_that_did_not_change_are_not_written_again(media: Path) -> None:
    store = FeatureStore.create(media / "store")
    ingest_manifest(store, manifest(media))
    forget(store, [("c", "a")])
    ingest_manifest(store, manifest(media, changed="b"))
    assert verify(store).clean
    assert store.read("b", "label.arousal").values[0] == 5
    parts = len(take_inventory(store.location).parts)
    ingest_manifest(store, manifest(media, changed="b"))
    assert len(take_inventory(store.location).parts) == parts


def test_a_step_with_too_few_rows_leaves_none_of_its_features(media: Path) -> None:
    store = FeatureStore.create(media / "store")
    ingest_manifest(store, manifest(media))
    forget(store, [("c", "a")])
    summary = extract_plain(Request(store.root, "timeline,first,second", workers=1))
    failed = {(row["feature"], row["code"]) for row in store.failures().to_pylist()}
    assert failed == {("first", "frame_count_mismatch"), ("second", "frame_count_mismatch")}
    assert summary.failed == 2
    assert {r.clip for r in store.published(features=["first", "second"])} == {"d"}
    assert verify(store).clean


def test_labels_of_a_clip_that_is_forgotten_meanwhile_are_not_published(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore.create(media / "store")
    ingest_manifest(store, manifest(media))
    real = FeatureStore.writer

    def meanwhile(self: FeatureStore, *what: Any) -> Any:
        forget(FeatureStore.open(store.root), [("c", "b")])
        return real(self, *what)

    with monkeypatch.context() as patched:
        patched.setattr(FeatureStore, "writer", meanwhile)
        ingest_manifest(store, manifest(media, changed="b"))
    assert {r.clip for r in store.published()} == {"a", "d"}
    assert verify(store).clean
