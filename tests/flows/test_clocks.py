"""The same rows at another time: what reads them is made anew, and lies where they lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from corpora.adapters import load
from features.extractor import Batch, Params, extractor
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import ffmpeg, make_clip
from tests.flows.chain_kit import ALL, Base, column, installed, spec

FEATURES = "timeline,audio_16k,shortterm_34,light,half_light,level"
Facts = dict[str, tuple[str, float, float | None, str]]


@extractor(name="pairs", version=1, inputs={"light": "light"}, scope="clip")
class Pairs(Base):
    """The light of every other frame, in steps of its own."""

    class Params(Params):
        begins: float = 0.0
        most: float = 255.0

    outputs = (spec("pairs", "segment"),)

    def extract(self, batch: Batch) -> Rows:
        rows = batch.inputs["light"].values[::2, 0].clip(max=self.params.most)  # type: ignore[attr-defined]
        return replace(column(rows), t0=self.params.begins, step=0.2)  # type: ignore[attr-defined]


@extractor(name="tenfold", version=1, inputs={"pairs": "pairs"}, frame_local=True)
class Tenfold(Base):
    outputs = (spec("tenfold", "segment"),)

    def extract(self, batch: Batch) -> Rows:
        pairs = batch.inputs["pairs"]
        return replace(column(pairs.values[:, 0] * 10), t0=pairs.t0, step=pairs.step)


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch, (*ALL, Pairs, Tenfold)):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(tmp_path / "made.mp4", seconds=1)
    codecs = ("-c:v", "ffv1", "-c:a", "pcm_s16le", "-ar", "16000")
    ffmpeg("-i", str(tmp_path / "made.mp4"), *codecs, str(tmp_path / "first.mkv"))
    shutil.copy(tmp_path / "first.mkv", folder / "a.mkv")
    return folder


def late_sound(first: Path, to: Path) -> None:
    """The same pictures and samples, the sound half a second later."""
    given = ("-i", str(first), "-itsoffset", "0.5", "-i", str(first))
    ffmpeg(*given, "-map", "0:v", "-map", "1:a", "-c", "copy", str(to))


def late(first: Path, to: Path) -> None:
    ffmpeg("-i", str(first), "-c", "copy", "-output_ts_offset", "1.5", str(to))


def extracted(folder: Path, root: Path, features: str = FEATURES) -> FeatureStore:
    store = FeatureStore.create(root, exist_ok=True)
    ingest_manifest(store, load("folder", str(folder), "c"))
    assert extract_plain(Request(store.root, features)).complete
    return store


def facts(store: FeatureStore, clip: str = "a") -> Facts:
    found = [store.rows(clip, feature) for feature in FEATURES.split(",")]
    return {r.feature: (r.content, r.t0, r.step, r.fingerprint) for r in found}


@pytest.mark.parametrize("shift", [late_sound, late])
def test_a_medium_with_another_clock_gives_what_a_fresh_store_has(
    folder: Path, tmp_path: Path, shift: Callable[[Path, Path], None]
) -> None:
    store = extracted(folder, tmp_path / "store")
    before = facts(store)
    shift(tmp_path / "first.mkv", folder / "a.mkv")
    # one after the other: that all they read is there already makes no difference
    for feature in FEATURES.split(","):
        extracted(folder, tmp_path / "store", feature)
    after = facts(store)
    assert after == facts(extracted(folder, tmp_path / "fresh"))
    assert before["shortterm_34"][0] == after["shortterm_34"][0]
    later = after["shortterm_34"][1] - before["shortterm_34"][1]
    assert later == pytest.approx(0.5 if shift is late_sound else 1.5)
    assert plan_request(store, Request(store.root, FEATURES)).tasks == 0


def test_another_clip_with_the_same_rows_keeps_its_own_clock(folder: Path, tmp_path: Path) -> None:
    store = extracted(folder, tmp_path / "store")
    late_sound(tmp_path / "first.mkv", folder / "b.mkv")
    extracted(folder, tmp_path / "store")
    first, second = facts(store), facts(store, "b")
    assert first["audio_16k"][0] == second["audio_16k"][0]
    assert second["shortterm_34"][1] == pytest.approx(first["shortterm_34"][1] + 0.5)
    assert first["half_light"] == second["half_light"]


def test_rows_are_not_copied_from_where_equal_ones_lay_at_another_time(
    tmp_path: Path,
) -> None:
    ramp = "color=gray:size=64x48:rate=10,geq=lum='60+10*N':cb=128:cr=128"
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "a.mp4", picture=ramp, sound=False)
    store = extracted(tmp_path / "media", tmp_path / "store", "tenfold")
    for settings in ({"begins": 0.5}, {"most": 100.0}):
        asked = Request(store.root, "tenfold", settings={"pairs": settings})
        assert extract_plain(asked).complete
    found = [(r.t0, r.computed) for r in store.published(features=["tenfold"])]
    assert found == [(0.0, 5), (0.5, 5), (0.0, 5)]
