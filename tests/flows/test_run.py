"""The coordinator: what it does when much goes wrong."""

from __future__ import annotations

from pathlib import Path

from corpora.adapters import load
from flows.coordinator import CLIPS_TO_JUDGE
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore


def broken_store(tmp_path: Path, count: int) -> Path:
    """A store of files that are no media; each its own content, so that none stands for another."""
    media = tmp_path / "media"
    media.mkdir()
    for i in range(count):
        (media / f"{i:02d}.mp4").write_bytes(f"no media {i}".encode() * 50)
    root = tmp_path / "store"
    ingest_manifest(FeatureStore.create(root), load(None, str(media), "broken"))
    return root


def test_a_run_that_goes_wrong_everywhere_is_stopped(tmp_path: Path) -> None:
    root = broken_store(tmp_path, 3 * CLIPS_TO_JUDGE)
    request = Request(str(root), features="timeline", workers=3 * CLIPS_TO_JUDGE, max_failures=0.5)
    summary = extract_plain(request)
    assert not summary.complete
    assert summary.clips == CLIPS_TO_JUDGE
    assert "10 of 10 clips failed" in summary.sentence()


def test_without_a_limit_every_clip_is_tried(tmp_path: Path) -> None:
    root = broken_store(tmp_path, CLIPS_TO_JUDGE + 2)
    summary = extract_plain(Request(str(root), features="timeline", workers=4))
    assert summary.failed == summary.failed_clips == CLIPS_TO_JUDGE + 2
    assert "quarantine" in summary.sentence()
