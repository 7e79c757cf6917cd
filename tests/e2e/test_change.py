"""A change costs what it touches: clips whose input changed, then only the frames that did."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features import kept_frames, registry
from features.media.video import decoder_starts, set_decoder_starts
from flows import pipeline
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.summary import Summary
from storage import FeatureStore
from tests.real_clips import BASIC

pytestmark = pytest.mark.media
CROPS = ("face_112", "face_112x96")
#: leaves some frames of a02 without a sure face; the boxes that stay are bit-identical
STRICT = "faces.thresholds=[.6,.7,.9995]"


@pytest.fixture
def root(real_store: Path, tmp_path: Path) -> Path:
    """A store of the short real clips that a test may change."""
    shutil.copytree(real_store, tmp_path / "store")
    return tmp_path / "store"


def changed_frames(before: FeatureStore, after: str, clip: str, feature: str) -> int:
    """By brute force: rows whose values or validity differ."""
    old, new = before.read(clip, feature), before.read(clip, feature, variant=after)
    assert len(old) == len(new)
    differ = (old.values != new.values).reshape(len(old), -1).any(1)
    return int((differ | (old.valid != new.valid)).sum())


def changed_detections(before: FeatureStore, after: str, clip: str) -> int:
    """By brute force: frames with other detections."""
    old, new = before.read(clip, "faces"), before.read(clip, "faces", variant=after)
    frames = [(old.slice(i, i + 1).values, new.slice(i, i + 1).values) for i in range(len(old))]
    return sum(not np.array_equal(one, other) for one, other in frames)


def check_detector_change(root: Path, setting: str) -> Summary:
    """Extract under another detector setting; crops computed = crops that changed."""
    store = FeatureStore.open(root)
    before = {(r.clip, r.feature): r.fingerprint for r in store.published()}
    summary = extract_plain(Request(str(root), BASIC, settings=parse_settings([setting])))
    assert summary.complete
    run = summary.run
    made = {(r.clip, r.feature): r for r in store.published() if r.run == run}
    assert {f for _, f in made} <= {"faces", "identity", "face_track", *CROPS}
    total = 0
    for clip in store.clips("real")["clip"].to_pylist():
        for feature in CROPS:
            changed = changed_frames(store, f"run:{run}", clip, feature)
            result = made.get((clip, feature))
            assert (result.computed if result else 0) == changed, (clip, feature)
            assert result is None or result.computed + result.reused == result.rows
            total += changed
        looked_at = made.get((clip, "identity"))
        moved = changed_detections(store, f"run:{run}", clip)
        assert (looked_at.computed if looked_at else 0) in {0, moved}, clip
        for feature in ("audio_16k", "mfcc_mel", "timeline"):
            assert store.rows(clip, feature).fingerprint == before[clip, feature]
    assert total > 0, "the setting changed nothing: the test shows nothing"
    assert "upstream face_track changed" in summary.reasons["face_112"]
    return summary


def test_a_detector_change_computes_only_the_crops_that_change_and_goes_back_for_free(
    root: Path,
) -> None:
    store = FeatureStore.open(root)
    old = store.read("a02_single_face_mp3_in_mp4", "face_112")
    summary = check_detector_change(root, STRICT)
    assert summary.reused_rows > 0
    same = store.read("a02_single_face_mp3_in_mp4", "face_112")
    np.testing.assert_array_equal(old.values, same.values)
    plan = plan_request(store, Request(str(root), BASIC))
    assert (plan.tasks, plan.maybe) == (0, 0)


@pytest.mark.parametrize("kept", [True, False])
def test_at_most_two_video_decoders_start_per_clip(
    short_media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    from corpora.adapters import load
    from flows.ingest import ingest_manifest

    root = tmp_path / "store"
    source = short_media / "a02_single_face_mp3_in_mp4.mp4"
    ingest_manifest(FeatureStore.create(root), load(None, str(source), "one"))
    if not kept:
        monkeypatch.setattr(kept_frames, "KEPT_BYTES", 1)
    set_decoder_starts(0)
    assert extract_plain(Request(str(root), BASIC)).complete
    assert decoder_starts() == (1 if kept else 2)
    set_decoder_starts(0)
    extract_plain(
        Request(str(root), BASIC, settings=parse_settings(["face_track.min_score=.99999"]))
    )
    assert decoder_starts() <= 1


@pytest.fixture
def bump(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Raise an extractor's version without changing its numbers."""
    declared = dict(registry.declarations())

    def raise_version(name: str) -> None:
        declared[name] = replace(declared[name], version=declared[name].version + 1)
        monkeypatch.setattr(pipeline, "declarations", lambda: declared)

    yield raise_version
    pipeline._instance.cache_clear()


def test_a_version_bump_plans_it_and_its_descendants_only(
    root: Path, bump: Callable[[str], None]
) -> None:
    bump("faces")
    plan = plan_request(FeatureStore.open(root), Request(str(root), BASIC))
    now = registry.declarations()["faces"].version
    assert plan.by_feature["faces"].reasons == {f"extractor version {now}→{now + 1}": 6}
    waiting = {name for name, f in plan.by_feature.items() if f.maybe}
    assert waiting == {"identity", "face_track", *CROPS}
    assert plan.tasks == 6


def test_a_bump_that_changes_no_number_stops_before_the_descendants(
    root: Path, bump: Callable[[str], None]
) -> None:
    bump("face_track")
    summary = extract_plain(Request(str(root), BASIC))
    assert summary.by_feature == {"face_track": 6}
    assert summary.cut_off == 12
    plan = plan_request(FeatureStore.open(root), Request(str(root), BASIC))
    assert (plan.tasks, plan.maybe) == (0, 0)


@pytest.mark.long
def test_a_detector_change_on_all_real_clips(media: Path, tmp_path: Path) -> None:
    from corpora.adapters import load
    from flows.ingest import ingest_manifest

    root = tmp_path / "store"
    ingest_manifest(FeatureStore.create(root), load(None, str(media), "real"))
    assert extract_plain(Request(str(root), BASIC, runner="processes", workers=2)).complete
    check_detector_change(root, "faces.thresholds=[.6,.7,.95]")
