"""A disk that is full, or can't be written to: a clear line, nothing torn, and on it goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpora.adapters import load
from corpora.demo import make_demo
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.ingest import ingest_manifest
from flows.pipeline import configure
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore, ReadOnlyStore, StoreError, StoreFull
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


WRITING = (
    ("tag", "v1"),
    ("config", "set", "faces.min_face=40"),
    ("forget", "--clip", "demo_1", "--yes"),
    ("extract", "--features", "timeline", "--no-prefect"),
)


def check_refused(
    store: FeatureStore, error: type[StoreError], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every command that writes ends with the error, and no library prints a trace of its own."""
    for words in WRITING:
        with pytest.raises(error, match=told):
            CliRunner().invoke(app, [*words, "--store", store.root], catch_exceptions=False)
        printed = "".join(capfd.readouterr())
        assert "panicked" not in printed, words
        assert "Traceback" not in printed, words


@pytest.fixture
def ingested(small_disk: Path, tmp_path: Path) -> FeatureStore:
    """A store on the small disk, of clips that nothing was made of yet."""
    store = FeatureStore.create(small_disk / "store")
    media = make_demo(tmp_path / "media", clips=2, seconds=0.5)
    ingest_manifest(store, load("demo", str(media), "demo"))
    return store


def test_a_store_mounted_for_reading_refuses_in_one_line_and_can_be_read(
    small_disk: Path, ingested: FeatureStore, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    check_refused(ingested, ReadOnlyStore, "can't be written to .Read-only file system", capfd)
    for words in (("status",), ("plan", "--features", "timeline"), ("log",), ("verify",)):
        assert CliRunner().invoke(app, [*words, "--store", ingested.root]).exit_code == 0, words


def test_a_disk_without_any_room_refuses_commits_in_one_line(
    small_disk: Path, ingested: FeatureStore, capfd: pytest.CaptureFixture[str]
) -> None:
    versions = ingested.snapshot.versions
    with (small_disk / "ballast").open("wb") as ballast:
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        ballast.write(bytes(free - 8192))
    check_refused(ingested, StoreFull, "no space left at", capfd)
    assert ingested.snapshot.versions == versions
    (small_disk / "ballast").unlink()
    assert extract_plain(Request(ingested.root, features="timeline")).complete
    assert verify(ingested).clean
