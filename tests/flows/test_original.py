"""What happens to a file while it is read: no row of other content under the ingested one's key."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora.adapters import load
from features.extractor import Batch
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain
from flows.summary import Summary
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.flows import chain_kit

pytestmark = pytest.mark.usefixtures("chain")


def overwrite(clip: Path, other: Path) -> None:
    clip.write_bytes(other.read_bytes())


def exchange(clip: Path, other: Path) -> None:
    shutil.copy(other, clip.with_suffix(".new"))
    clip.with_suffix(".new").replace(clip)


def empty(clip: Path, other: Path) -> None:
    clip.write_bytes(b"")


def remove(clip: Path, other: Path) -> None:
    clip.unlink()


def touch(clip: Path, other: Path) -> None:
    os.utime(clip, (1e9, 1e9))


@pytest.fixture
def extract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """Run ``light`` over one clip; something happens to its file while its frames are read."""
    folder = tmp_path / "media"
    folder.mkdir()
    clip = make_clip(folder / "a.mkv", sound=False, seconds=4)
    other = make_clip(tmp_path / "b.mkv", sound=False, seconds=4, picture="mandelbrot=64x48:r=10")
    store = FeatureStore.create(tmp_path / "store")
    ingest_manifest(store, load("folder", str(folder), "c"))
    compute = chain_kit.Light.extract

    def run(happens: Callable[[Path, Path], None], *settings: str) -> Summary:
        def extracting(self: chain_kit.Light, batch: Batch) -> Rows:
            if batch.start == 0:
                happens(clip, other)
            return compute(self, batch)

        monkeypatch.setattr(chain_kit.Light, "extract", extracting)
        return extract_plain(Request(store.root, "light", settings=parse_settings(settings)))

    return run


@pytest.mark.parametrize("happens", [overwrite, exchange, empty])
def test_rows_of_a_file_that_changes_meanwhile_are_not_published(
    happens: Callable[[Path, Path], None], extract: Callable[..., Summary]
) -> None:
    done = extract(happens)
    assert done.published == 0
    assert [f["code"] for f in done.failures] == ["media_replaced"]


def test_an_error_over_a_file_that_changes_is_put_down_to_the_change(
    extract: Callable[..., Summary],
) -> None:
    done = extract(overwrite, "light.fail_at=5")
    assert [f["code"] for f in done.failures] == ["media_replaced"]


def test_an_error_over_a_file_that_is_gone_may_be_over_by_itself(
    extract: Callable[..., Summary],
) -> None:
    done = extract(remove, "light.fail_at=5")
    assert [f["code"] for f in done.failures] == ["media_missing"]


@pytest.mark.parametrize("happens", [touch, remove])
def test_what_was_read_of_the_same_content_counts(
    happens: Callable[[Path, Path], None], extract: Callable[..., Summary]
) -> None:
    done = extract(happens)
    assert (done.published, done.failures) == (1, [])
