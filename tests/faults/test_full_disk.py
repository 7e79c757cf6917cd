"""A disk that is full in the middle of an extract: a clear line, nothing torn, and on it goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpora.adapters import load
from corpora.demo import make_demo
from flows.ingest import ingest_manifest
from flows.pipeline import configure
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from storage.verify import verify
from tests.real_clips import Cli

FEATURES = "timeline,audio_16k,mfcc_mel"
DISK_BYTES = 4_000_000
#: room for a commit, but not for a part of sound
LEFT_BYTES = 100_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here: no small disk can be made")
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_a_whole_store(
    small_disk: Path, tmp_path: Path, cli: Cli
) -> None:
    store = FeatureStore.create(small_disk / "store")
    media = make_demo(tmp_path / "media", clips=2, seconds=2.0)
    ingest_manifest(store, load("demo", str(media), "demo"))
    store.save_configuration(configure({}))
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(free - LEFT_BYTES))

    full = cli("extract", "--store", store.root, "--features", FEATURES, "--no-prefect", code=1)
    assert "no space left at" in full.stderr
    assert "free some" in full.stderr
    assert "Traceback" not in full.stderr + full.stdout
    assert verify(store).clean
    before = len(store.published(features=FEATURES.split(",")))
    assert before < 6
    assert len(store.failures()) == 0

    ballast.unlink()
    done = extract_plain(Request(store.root, features=FEATURES))
    assert done.complete
    assert done.published == 6 - before
    assert verify(store).clean
    assert {(r.clip, r.feature) for r in store.select(FEATURES.split(","))} == {
        (clip, feature) for clip in ("demo_1", "demo_2") for feature in FEATURES.split(",")
    }
