"""Rows of several clips in one batch: full batches, the same results, and each clip for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from corpora.adapters import load
from features.errors import MediaError
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.registry import declarations
from features.spec import Rows
from features.together import ROWS_PER_BATCH
from flows import execute as execution
from flows import partition
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.summary import Summary
from storage import FeatureStore
from storage.verify import verify
from tests.features.made_clips import make_clip
from tests.flows.chain_kit import Base, column, installed, spec

FRAMES = 45
CLIPS = 8
#: one frame in so many shows nothing
BLANK = 5
VALID = CLIPS * FRAMES * (BLANK - 1) // BLANK
#: one clip gets lighter than this towards its end
THRESHOLD = 150.0


@extractor(name="shade", version=1, reads="video")
class Shade(Base):
    """Mean of each frame in steps of ``step``; every fifth frame is invalid."""

    class Params(BaseParams):
        step: float = 1.0

    outputs = (spec("shade"),)

    def extract(self, batch: Batch) -> Rows:
        assert batch.frames is not None
        step = self.params.step  # type: ignore[attr-defined]
        values = np.rint(batch.frames.mean((1, 2, 3)) / step)[:, None].astype(np.float32) * step
        valid = batch.numbers % BLANK != BLANK - 1
        values[~valid] = np.nan
        return Rows(values.astype(np.float32), valid, float(batch.times[0]))


@extractor(
    name="doubled", version=1, inputs={"shade": "shade"}, frame_local=True, across_clips=True
)
class Doubled(Base):
    """Twice the shade, and its square."""

    class Params(BaseParams):
        refuse: bool = False

    outputs = (spec("doubled"), spec("squared"))
    batches: ClassVar[list[int]] = []

    def extract(self, batch: Batch) -> dict[str, Rows]:
        shade = batch.inputs["shade"].values
        self.batches.append(len(shade))
        if self.params.refuse and (shade > THRESHOLD).any():  # type: ignore[attr-defined]
            raise MediaError("doubled: too bright for the test; ask for something else")
        made = {"doubled": shade * 2, "squared": shade**2}
        return {name: Rows(made[name], np.ones(len(shade), bool)) for name in batch.wanted}


@extractor(name="trend", version=1, inputs={"doubled": "doubled"}, scope="clip")
class Trend(Base):
    """First less last: reads what waits for other clips."""

    outputs = (spec("trend", "clip"),)

    def extract(self, batch: Batch) -> Rows:
        values = batch.inputs["doubled"].values
        return column(np.asarray(values[0] - values[-2]))


#: clip and feature -> content hash
Contents = dict[tuple[str, str], str]
ALL = (Shade, Doubled, Trend)


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch, ALL):
        Doubled.batches.clear()
        yield


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of a second whose pictures get lighter, one of them up to white."""
    folder = tmp_path_factory.mktemp("media")
    for i in range(CLIPS):
        light = f"({60 + 3 * i}+N)" if i != 4 else "(60+4*N)"
        picture = f"color=gray:size=64x48:rate={FRAMES},geq=lum='{light}':cb=128:cr=128"
        make_clip(folder / f"c{i:02d}.mp4", picture=picture, sound=False)
    return folder


def made_store(media: Path, root: Path) -> FeatureStore:
    store = FeatureStore.create(root)
    ingest_manifest(store, load("folder", str(media), "c"))
    return store


@pytest.fixture
def store(media: Path, tmp_path: Path) -> FeatureStore:
    return made_store(media, tmp_path / "store")


def run(store: FeatureStore, features: str, *settings: str) -> Summary:
    return extract_plain(Request(store.root, features, settings=parse_settings(settings)))


def contents(store: FeatureStore) -> Contents:
    return {(p.clip, p.feature): p.content for p in store.published()}


@pytest.fixture(scope="module")
def alone(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What is published where each clip is a partition of its own."""
    with pytest.MonkeyPatch.context() as patch, installed(patch, ALL):
        patch.setattr(partition, "CLIPS_PER_PARTITION", 1)
        Doubled.batches.clear()
        store = made_store(media, tmp_path_factory.mktemp("alone") / "store")
        run(store, "doubled,squared")
        assert Doubled.batches == [VALID // CLIPS] * CLIPS
        return contents(store)


def test_batches_are_full_and_hold_valid_rows_only(store: FeatureStore) -> None:
    assert run(store, "doubled,squared").complete
    assert Doubled.batches == [ROWS_PER_BATCH, VALID - ROWS_PER_BATCH]
    shade, doubled = store.read("c03", "shade"), store.read("c03", "doubled")
    np.testing.assert_array_equal(doubled.values, 2 * shade.values)
    np.testing.assert_array_equal(doubled.valid, shade.valid)
    assert doubled.t0 == shade.t0


def test_results_are_those_of_each_clip_by_itself(store: FeatureStore, alone: Contents) -> None:
    run(store, "doubled,squared")
    assert contents(store) == alone
    made = store.published(features=["squared"])
    assert [(p.computed, p.reused) for p in made] == [(FRAMES, 0)] * CLIPS
    assert all(p.seconds > 0 for p in made)


def test_a_clip_that_fails_takes_no_other_with_it(store: FeatureStore, alone: Contents) -> None:
    done = run(store, "doubled", "doubled.refuse=true")
    assert [(f["clip"], f["feature"]) for f in done.failures] == [("c04", "doubled")]
    found = contents(store)
    assert {c for c, f in found if f == "doubled"} == {f"c{i:02d}" for i in range(CLIPS) if i != 4}
    assert found.items() <= alone.items()
    assert not verify(store).problems


def test_only_rows_with_another_input_are_computed_and_the_rest_copied(
    store: FeatureStore, media: Path, tmp_path: Path
) -> None:
    run(store, "doubled,squared")
    Doubled.batches.clear()
    again = run(store, "doubled,squared", "shade.step=2")
    (why,) = again.reasons["doubled"].values()
    # frames that are invalid before and after are copied
    assert 0 < why.computed == sum(Doubled.batches) < why.rows
    made = [p for p in store.published() if p.run == again.run]
    for p in made:
        if p.feature != "shade":
            assert p.computed + p.reused == FRAMES
            assert p.computed < FRAMES
    fresh = made_store(media, tmp_path / "fresh")
    run(fresh, "doubled,squared", "shade.step=2")
    assert {(p.clip, p.feature): p.content for p in made} == contents(fresh)


def test_rows_are_copied_from_the_earlier_result_with_most_in_common(
    store: FeatureStore,
) -> None:
    shades = {}
    for setting in ("shade.step=1", "shade.step=64", "shade.step=2"):
        done = run(store, "doubled", setting)
        shades[setting] = {
            p.clip: p for p in store.published(features=["shade"]) if p.run == done.run
        }
    first, _, last = shades.values()
    for doubled in store.published(features=["doubled"]):
        if doubled.run == done.run:
            before, now = (store.read_result(found[doubled.clip]) for found in (first, last))
            differ = (before.values != now.values).any(1) & now.valid
            assert doubled.computed == np.count_nonzero(differ) < np.count_nonzero(now.valid)


def test_what_reads_it_is_made_in_the_same_run(store: FeatureStore) -> None:
    assert run(store, "trend").complete
    doubled, trend = store.read("c02", "doubled").values, store.read("c02", "trend").values
    assert len(store.published(features=["trend"])) == CLIPS
    assert trend[0, 0] == doubled[0, 0] - doubled[-2, 0]


def test_clips_whose_rows_may_wait_and_clips_whose_rows_may_not_share_a_partition(
    media: Path, tmp_path: Path, alone: Contents
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for path in sorted(media.iterdir())[::2]:
        (some / path.name).symlink_to(path)
    store = made_store(some, tmp_path / "store")
    run(store, "trend")
    ingest_manifest(store, load("folder", str(media), "c"))
    # half of the clips lack the square alone; the others' trend can't begin before the double
    assert run(store, "trend,squared").complete
    assert plan_request(store, Request(store.root, "trend,squared")).todo.num_rows == 0
    found = {key: content for key, content in contents(store).items() if key[1] != "trend"}
    assert found == alone


def test_a_stop_keeps_what_is_done_and_the_next_run_does_the_rest(
    store: FeatureStore, alone: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Doubled.extract

    def stopping(self: Doubled, batch: Batch) -> dict[str, Rows]:
        execution.stop_requested.set()
        return compute(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Doubled, "extract", stopping)
        try:
            run(store, "doubled,squared")
        finally:
            execution.stop_requested.clear()
    full = ROWS_PER_BATCH // (VALID // CLIPS)
    assert len(store.published(features=["doubled"])) == full < CLIPS
    assert run(store, "doubled,squared").complete
    assert contents(store) == alone


def test_every_network_over_crops_shares_batches_that_its_own_groups_fill() -> None:
    from features import expnet, sphereface, vggface

    for module in (expnet, sphereface, vggface):
        assert declarations()[module.__name__.split(".")[1]].across_clips
        for group in module.GROUP.values():
            assert ROWS_PER_BATCH % group == 0
