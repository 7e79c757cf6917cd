"""Stored rows that were damaged: nothing is computed or copied from them, and repair is the way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpora.adapters import load
from features.extractor import Batch, extractor
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.summary import Summary
from storage import FeatureStore
from storage.content import content_hash
from storage.layout import part_key
from storage.repair import repair
from storage.verify import verify
from tests.features.made_clips import make_clip
from tests.flows.chain_kit import ALL, Base, column, installed, spec
from tests.storage.upkeep_kit import file_of, flip


@extractor(name="twice", version=1, inputs={"light": "light"}, frame_local=True, across_clips=True)
class Twice(Base):
    """Twice the light, in batches with other clips' rows."""

    outputs = (spec("twice"),)

    def extract(self, batch: Batch) -> Rows:
        return column(batch.inputs["light"].values[:, 0] * 2)


#: way of reading -> a feature that reads ``light`` so: alone, for the clip as a whole, in a pass
#: over the video, together with other clips
READERS = ("half_light", "level", "drift", "twice")


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch, (*ALL, Twice)):
        yield


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for i, name in enumerate("ab"):
        light = f"geq=lum='{60 + 9 * i}+3*N':cb=128:cr=128"
        picture = f"color=gray:size=64x48:rate=10,{light}"
        make_clip(folder / f"{name}.mp4", picture=picture, sound=False)
    return folder


def made_store(media: Path, root: Path) -> FeatureStore:
    store = FeatureStore.create(root)
    ingest_manifest(store, load("folder", str(media), "c"))
    return store


def run(store: FeatureStore, features: str, *settings: str) -> Summary:
    return extract_plain(Request(store.root, features, settings=parse_settings(settings)))


def hashes(store: FeatureStore, *features: str) -> dict[tuple[str, str], str]:
    found = store.select(features)
    return {(r.clip, r.feature): content_hash(store.read_result(r)) for r in found}


@pytest.fixture
def store(media: Path, tmp_path: Path) -> FeatureStore:
    return made_store(media, tmp_path / "store")


@pytest.mark.parametrize("array", ["values", "valid"])
def test_nothing_is_computed_from_damaged_rows(
    store: FeatureStore, media: Path, tmp_path: Path, array: str
) -> None:
    run(store, "light")
    hurt = next(r for r in store.published(features=["light"]) if r.clip == "a")
    first = hurt.pieces[0].row_start
    if array == "valid":
        path = file_of(store, hurt, array)
        flags = bytearray(path.read_bytes())
        flags[first + 2] ^= 1
        path.write_bytes(flags)
    else:
        flip(file_of(store, hurt, array), 4 * first + 2)
    summary = run(store, ",".join(READERS))
    assert {(f["clip"], f["feature"], f["code"]) for f in summary.failures} == {
        ("a", feature, "damaged_input") for feature in READERS
    }
    assert all("affectstore repair" in str(f["message"]) for f in summary.failures)
    assert {r.clip for r in store.published(features=[*READERS])} == {"b"}

    assert not run(store, "half_light").complete, "as long as nobody repairs it"
    repair(store)
    again = run(store, ",".join(READERS))
    assert again.complete
    assert not again.quarantined
    fresh = made_store(media, tmp_path / "fresh")
    run(fresh, ",".join(READERS))
    assert hashes(store, *READERS) == hashes(fresh, *READERS)
    assert verify(store).clean


@pytest.mark.parametrize("feature", ["half_light", "twice"])
def test_damaged_rows_are_not_copied_into_a_new_result(
    store: FeatureStore, media: Path, tmp_path: Path, feature: str
) -> None:
    run(store, feature)
    hurt = next(r for r in store.published(features=[feature]) if r.clip == "a")
    flip(file_of(store, hurt, "values"), 4 * hurt.pieces[0].row_start + 2)
    settings = "light.step=2"
    (failure,) = run(store, feature, settings).failures
    assert (failure["clip"], failure["code"]) == ("a", "damaged_input")
    repair(store)
    assert run(store, feature, settings).complete
    fresh = made_store(media, tmp_path / "fresh")
    run(fresh, feature, settings)
    contents = {r.content for r in store.published(features=[feature])}
    assert {r.content for r in fresh.published(features=[feature])} <= contents
    assert verify(store).clean


def test_a_part_that_is_gone_is_its_clips_failure_alone(store: FeatureStore) -> None:
    run(store, "light", "light.step=1")
    run(store, "light")
    hurt = next(r for r in store.published(features=["light"]) if r.clip == "a")
    shutil.rmtree(Path(store.root) / part_key("light", hurt.pieces[0].part))
    summary = run(store, "half_light,level")
    assert {f["code"] for f in summary.failures} == {"damaged_input"}
    assert not summary.lost
    repair(store)
    assert run(store, "half_light,level").complete


def test_a_file_that_was_put_back_is_no_longer_in_quarantine(tmp_path: Path, media: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(media, folder)
    store = made_store(folder, tmp_path / "store")
    before = (folder / "a.mp4").read_bytes()
    shutil.copy(folder / "b.mp4", folder / "a.mp4")
    assert {f["code"] for f in run(store, "light").failures} == {"media_replaced"}
    (folder / "a.mp4").write_bytes(before)
    plan = plan_request(store, Request(store.root, "light"))
    assert plan.quarantined == 0
    assert plan.tasks == 1
    assert run(store, "light").complete


def test_a_part_that_is_gone_keeps_no_other_clip_from_its_work(tmp_path: Path, media: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(media, folder)
    store = made_store(folder, tmp_path / "store")
    run(store, "light")
    hurt = next(r for r in store.published(features=["light"]) if r.clip == "a")
    shutil.rmtree(Path(store.root) / part_key("light", hurt.pieces[0].part))
    shutil.copy(folder / "a.mp4", folder / "z.mp4")
    picture = "color=gray:size=64x48:rate=10,geq=lum='99+2*N':cb=128:cr=128"
    make_clip(folder / "new.mp4", picture=picture, sound=False)
    ingest_manifest(store, load("folder", str(folder), "c"))
    summary = run(store, "light")
    assert summary.published == 1
    assert not summary.complete
    (told,) = summary.lost
    assert told.startswith("z: light")
    assert "affectstore repair" in told
    repair(store)
    assert run(store, "light").complete
    assert verify(store).clean
