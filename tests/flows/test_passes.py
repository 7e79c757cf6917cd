"""Passes that are shared, clips' further files, and what can't be computed here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from corpora.adapters import load
from features import kept_frames
from features.engine import run_clip
from features.errors import Unavailable
from features.extractor import Batch
from features.media.video import decoder_starts, set_decoder_starts
from features.spec import Rows
from flows import execute as execution
from flows.assets import add_assets
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from flows.summary import Summary
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.flows import chain_kit

CHAIN = "light,half_light,red_share"


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kit's extractors, as if their package were installed."""

    with chain_kit.installed(monkeypatch, chain_kit.ALL):
        yield


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("a", "b"):
        tone = "testsrc2" if name == "a" else "mandelbrot"
        make_clip(folder / f"{name}.mp4", picture=f"{tone}=size=64x48:rate=40")
    made = FeatureStore.create(tmp_path / "store")
    ingest_manifest(made, load("folder", str(folder), "c"))
    return made


def run(store: FeatureStore, features: str, *settings: str) -> Summary:
    return extract_plain(Request(store.root, features, settings=parse_settings(settings)))


def test_what_reads_a_frame_and_what_was_made_of_it_shares_the_pass(store: FeatureStore) -> None:
    set_decoder_starts(0)
    assert run(store, CHAIN).complete
    assert decoder_starts() == 2
    half, share = store.read("a", "half_light"), store.read("a", "red_share")
    assert half.rows == share.rows == 40
    np.testing.assert_array_equal(half.values, store.read("a", "light").values / 2)
    assert store.published(features=["red_share"])[0].inputs["half"][1] in {
        p.content for p in store.published(features=["half_light"])
    }
    assert plan_request(store, Request(store.root, CHAIN)).todo.num_rows == 0


def test_a_chained_step_computes_only_the_frames_whose_input_changed(store: FeatureStore) -> None:
    run(store, CHAIN)
    before = store.read("b", "light").values
    again = run(store, CHAIN, "light.step=2")
    changed = sum(
        int((store.read(c, "light", variant=f"run:{again.run}").values != old).sum())
        for c, old in (("a", store.read("a", "light").values), ("b", before))
    )
    assert 0 < changed < 80, "the change must touch some frames and not all: the test shows nothing"
    (why,) = again.reasons["red_share"].values()
    assert (why.computed, why.rows) == (changed, 80)
    fresh = FeatureStore.create(Path(store.root).parent / "fresh")
    ingest_manifest(fresh, load("folder", str(Path(store.root).parent / "media"), "c"))
    once = run(fresh, CHAIN, "light.step=2")
    for clip in ("a", "b"):
        np.testing.assert_array_equal(
            store.read(clip, "red_share", variant=f"run:{again.run}").values,
            fresh.read(clip, "red_share", variant=f"run:{once.run}").values,
        )


def test_rows_made_with_other_parameters_are_not_reused(store: FeatureStore) -> None:
    for settings in (["half_light.parts=5"], [], ["light.step=2"]):
        done = run(store, CHAIN, *settings)
    (why,) = done.reasons["half_light"].values()
    assert 0 < why.computed < 80, "the change must touch some frames and not all"
    for clip in ("a", "b"):
        light = store.read(clip, "light", variant=f"run:{done.run}").values
        half = store.read(clip, "half_light", variant=f"run:{done.run}").values
        np.testing.assert_array_equal(half, light / 2)


def test_a_chained_step_is_cut_off_when_its_input_turns_out_as_it_was(store: FeatureStore) -> None:
    run(store, CHAIN)
    again = run(store, CHAIN, "light.fail_at=-2")
    assert again.complete
    assert again.cut_off == 4
    assert set(again.reasons) == {"light"}


def test_a_chained_step_that_needs_every_frame_is_not_run_to_be_cut_off(
    store: FeatureStore,
) -> None:
    set_decoder_starts(0)
    run(store, "light,drift")
    assert decoder_starts() == 2
    chain_kit.Drift.calls.clear()
    again = run(store, "light,drift", "light.fail_at=-2")
    assert (again.cut_off, set(again.reasons)) == (2, {"light"})
    assert chain_kit.Drift.calls == []


def test_it_runs_once_its_input_turns_out_changed(store: FeatureStore) -> None:
    run(store, "light,drift")
    chain_kit.Drift.calls.clear()
    again = run(store, "light,drift", "light.step=2")
    assert set(again.by_feature) == {"light", "drift"}
    assert sorted(chain_kit.Drift.calls) == [0, 0, 32, 32]
    light = store.read("b", "light", variant=f"run:{again.run}").values
    drift = store.read("b", "drift", variant=f"run:{again.run}").values
    np.testing.assert_array_equal(drift[:, 0], light[:, 0] - np.repeat([0, 32], [32, 8]))


def test_some_frames_of_a_batch_know_their_place_in_the_clip(store: FeatureStore) -> None:
    run(store, "light,numbered")
    again = run(store, "light,numbered", "light.step=2")
    (why,) = again.reasons["numbered"].values()
    assert 0 < why.computed < 80
    for clip in ("a", "b"):
        light = store.read(clip, "light", variant=f"run:{again.run}").values
        found = store.read(clip, "numbered", variant=f"run:{again.run}").values
        np.testing.assert_array_equal(found[:, 0], light[:, 0] + 1000 * np.arange(40))


@pytest.mark.parametrize(("less", "starts"), [(0, 2), (1, 4)])
def test_only_a_clip_whose_frames_have_no_room_is_decoded_for_each_pass(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, less: int, starts: int
) -> None:
    run(store, "green")
    monkeypatch.setattr(kept_frames, "KEPT_BYTES", 40 * 64 * 48 * 3 - less)
    again = FeatureStore.create(tmp_path / "again")
    ingest_manifest(again, load("folder", str(tmp_path / "media"), "c"))
    set_decoder_starts(0)
    assert run(again, "green").complete
    assert decoder_starts() == starts
    assert {(p.clip, p.feature): p.content for p in again.published()} == {
        (p.clip, p.feature): p.content for p in store.published()
    }


def test_nothing_is_kept_where_no_pass_comes_after(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(*_: object) -> None:
        raise AssertionError("no step waits for a second pass")

    monkeypatch.setattr(kept_frames.KeptFrames, "keep", keep)
    assert run(store, CHAIN).complete


@pytest.mark.parametrize("frame", [0, 35])
def test_a_pass_in_which_everything_fails_ends(store: FeatureStore, frame: int) -> None:
    done = run(store, CHAIN, f"light.fail_at={frame}")
    assert {f["feature"] for f in done.failures} == {"light"}
    assert store.published() == []


def test_steps_that_join_a_pass_work_beside_it_with_the_same_results(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[str]] = {}

    def noted(name: str, extract: Callable[..., Rows]) -> Callable[..., Rows]:
        def call(self: object, batch: Batch) -> Rows:
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return extract(self, batch)

        return call

    for cls in (chain_kit.Light, chain_kit.RedShare):
        monkeypatch.setattr(cls, "extract", noted(cls.__name__, cls.extract))
    assert run(store, CHAIN).complete
    assert threads["Light"] == {threading.current_thread().name}
    assert all(name.startswith("chained") for name in threads["RedShare"])
    alone = FeatureStore.create(tmp_path / "alone")
    ingest_manifest(alone, load("folder", str(tmp_path / "media"), "c"))
    monkeypatch.setattr(
        execution, "run_clip", lambda *args, side_by_side, **more: run_clip(*args, **more)
    )
    assert run(alone, CHAIN).complete
    assert {(p.clip, p.feature): p.content for p in alone.published()} == {
        (p.clip, p.feature): p.content for p in store.published()
    }


def test_what_fails_takes_with_it_only_what_reads_it(store: FeatureStore) -> None:
    done = run(store, CHAIN + ",timeline", "light.fail_at=35")
    assert {f["feature"] for f in done.failures} == {"light"}
    assert store.failures().num_rows == 2
    assert {p.feature for p in store.published()} == {"timeline"}
    assert run(store, CHAIN).complete


def test_a_further_file_is_in_the_key_of_what_reads_it_alone(
    store: FeatureStore, tmp_path: Path
) -> None:
    both = "noted,light"
    run(store, both)
    assert store.read("a", "noted").values[0, 0] == 0
    notes = tmp_path / "notes.txt"
    notes.write_text("four")
    given = {"a": [{"role": "notes", "uri": str(notes)}]}
    assert add_assets(store, "c", given) == 1
    assert add_assets(store, "c", given) == 0
    plan = plan_request(store, Request(store.root, both))
    assert plan.todo.select(["clip", "feature"]).to_pylist() == [{"clip": "a", "feature": "noted"}]
    run(store, both)
    assert store.read("a", "noted").values[0, 0] == 4
    # what was added stays when the corpus is read again, and a changed file counts
    notes.write_text("five!")
    ingest_manifest(store, load("folder", str(tmp_path / "media"), "c"))
    assert add_assets(store, "c", given) == 1
    run(store, both)
    assert store.read("a", "noted").values[0, 0] == 5


def test_what_cannot_be_computed_is_skipped_or_refused_by_name(store: FeatureStore) -> None:
    plan = plan_request(store, Request(store.root, "all"))
    assert plan.skipped["distant"] == "the far engine isn't installed; get it from far away"
    assert plan.skipped["more_distant"].startswith("it reads distant: the far engine")
    assert "either" not in plan.skipped
    assert not {"distant", "more_distant"} & set(plan.todo["feature"].to_pylist())
    for feature in ("distant", "more_distant"):
        with pytest.raises(Unavailable, match="get it from far away"):
            plan_request(store, Request(store.root, feature))


def test_inputs_and_tools_may_depend_on_parameters(store: FeatureStore) -> None:
    done = run(store, "either")
    assert done.complete
    (first,) = {tuple(p.inputs) for p in store.published(features=["either"])}
    assert first == ("near",)
    with pytest.raises(Unavailable):
        run(store, "either", "either.from_afar=true")
    again = run(store, "either", "either.tool=v2")
    assert len(again.reasons["either"]) == 1
    assert {p.inputs["near"][0] for p in store.published(features=["either"])} == {"light"}
