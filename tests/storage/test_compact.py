"""Merging parts changes where rows lie, and nothing that anybody reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from features.spec import FeatureSpec
from storage import FeatureStore, ReadOnlyStore
from storage.compact import compact
from storage.gc import gc
from storage.inventory import named_parts, take_inventory
from storage.location import Location
from storage.tags import find_tag, set_tag
from storage.verify import verify
from tests.storage.store_kit import (
    CROP,
    FACES,
    POINTS,
    SOUND,
    WHOLE,
    assert_same,
    clip_table,
    configure,
    new_store,
    node,
)
from tests.storage.upkeep_kit import NODES, SPECS, contents, file_of, flip, publish_together

NONE = timedelta(0)
CLIPS = ("a", "b", "d", "e")
OTHER = node(FACES, version=2)


def scattered(
    root: Path, codec: str = "raw", specs: tuple[FeatureSpec, ...] = SPECS
) -> FeatureStore:
    """A store with a part per clip and feature."""
    store = new_store(root, CLIPS)
    configure(store, *NODES.values())
    for spec in specs:
        for clip in reversed(CLIPS):
            publish_together(store, spec, (clip,), codec=codec)
    return store


def parts_of(store: FeatureStore, feature: str) -> set[str]:
    return {part for name, part in named_parts(store.catalogue()) if name == feature}


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_rows_and_hashes_are_the_same_in_fewer_parts(tmp_path: Path, codec: str) -> None:
    store = scattered(tmp_path / "store", codec)
    before = contents(store)
    rows = {(c, s.name): store.read(c, s.name) for c in CLIPS for s in SPECS}
    facts = {r.fingerprint: (r.content, r.rows, r.time, r.t0) for r in store.published()}
    done = compact(store)
    assert done.before == {s.name: 4 for s in SPECS}
    assert done.after == {s.name: 1 for s in SPECS}
    assert contents(store) == before
    for (clip, feature), wanted in rows.items():
        assert_same(store.read(clip, feature), wanted)
    assert {r.fingerprint: (r.content, r.rows, r.time, r.t0) for r in store.published()} == facts
    assert verify(store).clean


def test_small_files_of_the_tables_are_merged(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store")
    assert compact(store).files["extractors"] > 1
    fresh = FeatureStore.open(store.root)
    before = fresh.versions
    assert set(compact(fresh).files.values()) == {0}
    assert fresh.versions == before


def test_few_objects_are_left_after_compact_and_gc(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store")
    compact(store)
    gc(store, keep=NONE, grace=NONE)
    parts = take_inventory(store.location).parts.values()
    assert all(part.objects <= 9 for part in parts)
    assert len(parts) == len(SPECS)
    assert len(list((store.location.path / "catalogue").glob("*.parquet"))) <= 2
    assert verify(store).clean


def test_two_thousand_clips_of_a_feature_lie_in_at_most_fifty_objects(tmp_path: Path) -> None:
    clips = tuple(f"{i:04d}" for i in range(2000))
    store = new_store(tmp_path / "store", clips)
    for start in range(0, 2000, 100):
        publish_together(store, WHOLE, clips[start : start + 100])
    before = {r.clip: r.content for r in store.published()}
    compact(store)
    gc(store, keep=NONE, grace=NONE)
    parts = sum(part.objects for part in take_inventory(store.location).parts.values())
    catalogue = len(list((store.location.path / "catalogue").glob("*.parquet")))
    assert parts + catalogue <= 50
    assert {r.clip: r.content for r in store.published()} == before


def test_a_compaction_that_broke_off_before_its_commit_changed_nothing(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store", specs=(FACES, CROP))
    before = store.published()

    def stop(feature: str, parts: int) -> None:
        if feature == "faces":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compact(store, tell=stop)
    assert contents(store)
    assert [r for r in store.published() if r.feature == "faces"] == [
        r for r in before if r.feature == "faces"
    ]
    assert compact(store).after == {"faces": 1}
    assert verify(store).clean


def test_a_tag_reads_its_old_parts_until_it_is_deleted(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store", specs=(FACES,))
    wanted = store.read("a", "faces")
    set_tag(store.location, "paper", store.versions)
    old = parts_of(store, "faces")
    compact(store)
    gc(store, keep=NONE, grace=NONE)
    tagged = FeatureStore.open(store.root, at=find_tag(store.location, "paper").versions)
    assert parts_of(tagged, "faces") == old
    assert_same(tagged.read("a", "faces"), wanted)
    assert verify(store).clean


def test_parts_of_different_extractors_are_not_mixed(tmp_path: Path) -> None:
    store = new_store(tmp_path / "store", CLIPS)
    for clip in CLIPS:
        publish_together(store, FACES, (clip,))
    for clip in CLIPS:
        with store.writer(FACES, {"extractor": "another"}) as writer:
            writer.begin()
            writer.append(FACES.invalid(4))
            stored = writer.finish()
        first = store.published(clips=[clip])[0]
        other = replace(first, fingerprint="other", pieces=stored.pieces, content=stored.content)
        store.commit([replace(other, rows=stored.rows)])
    assert compact(store).after == {"faces": 2}


def test_superseded_results_move_too(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store", specs=(FACES,))
    publish_together(store, FACES, CLIPS, made_by=OTHER, seed=3)
    compact(store)
    assert len(parts_of(store, "faces")) == 1
    assert len(store.published(features=["faces"])) == 8
    assert verify(store).clean


def test_damaged_results_stay_where_they_are(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store", specs=(FACES, POINTS))
    (hurt,) = store.published(clips=["b"], features=["faces"])
    flip(file_of(store, hurt, "values"), 3)
    done = compact(store)
    assert set(done.damaged) == {("faces", hurt.pieces[0].part)}
    assert store.published(clips=["b"], features=["faces"]) == [hurt]
    assert parts_of(store, "faces") > {hurt.pieces[0].part}
    assert len(verify(store).problems) == 1


def test_a_dry_run_tells_and_changes_nothing(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store", specs=(CROP,))
    before = store.versions
    read_only = FeatureStore.open(store.root, read_only=True)
    done = compact(read_only, dry_run=True)
    assert (done.before, done.after) == ({"crop": 4}, {"crop": 1})
    assert store.versions == before
    with pytest.raises(ReadOnlyStore):
        compact(read_only)


def test_compact_beside_writers_loses_no_row(tmp_path: Path) -> None:
    store = scattered(tmp_path / "store", specs=(FACES, SOUND))
    errors: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    def publish(seed: int) -> None:
        mine = FeatureStore.open(store.root)
        for i in range(5):
            publish_together(mine, FACES, CLIPS, made_by=OTHER, seed=10 * seed + i)

    def merge() -> None:
        for _ in range(3):
            compact(FeatureStore.open(store.root))

    works = [merge, merge, lambda: publish(1), lambda: publish(2)]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.published(features=["faces"])) == 4 + 2 * 5 * 4
    assert len(store.published(features=["sound"])) == 4
    compact(store)
    assert len(parts_of(store, "faces")) == 1
    assert verify(store).clean


def test_compact_works_on_a_remote_store(s3: Location) -> None:
    store = FeatureStore.create(s3.url, storage_options=s3.storage_options)
    store.upsert_clips("c", clip_table("a", "b"))
    configure(store, *NODES.values())
    for clip in ("a", "b"):
        publish_together(store, FACES, (clip,))
    wanted = store.read("b", "faces")
    assert compact(store).after == {"faces": 1}
    fresh = FeatureStore.open(s3.url, storage_options=s3.storage_options)
    assert_same(fresh.read("b", "faces"), wanted)
