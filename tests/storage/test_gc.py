"""gc removes what nobody reaches, and nothing else."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from storage import FeatureStore, ReadOnlyStore, StoreError
from storage.gc import gc
from storage.inventory import named_parts, take_inventory
from storage.location import Location
from storage.tags import delete_tag, find_tag, set_tag
from storage.verify import verify
from tests.storage.store_kit import (
    CROP,
    FACES,
    assert_same,
    clip_table,
    configure,
    make_rows,
    new_store,
    node,
)
from tests.storage.upkeep_kit import NODES, contents, filled_store, publish_together

NONE = timedelta(0)
OTHER = node(FACES, version=2)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return new_store(tmp_path / "store", ("a", "b"))


def on_disk(store: FeatureStore) -> set[str]:
    return {part for _, part in take_inventory(store.location).parts}


def parts_of(store: FeatureStore) -> set[str]:
    return {part for _, part in named_parts(store.catalogue())}


def withdraw(store: FeatureStore, feature: str) -> None:
    """Take a feature's rows out of the newest version, as a repair does."""
    table = store.snapshot["catalogue"]
    table.replace(table.schema.empty_table(), {"feature": feature}, table.version)


def test_superseded_results_stay_readable_and_stay(store: FeatureStore) -> None:
    publish_together(store, FACES, ("a", "b"))
    publish_together(store, FACES, ("a", "b"), made_by=OTHER, seed=1)
    assert gc(store, keep=NONE, grace=NONE).parts == []
    assert len(on_disk(store)) == 2


def test_a_part_that_no_version_names_goes(store: FeatureStore) -> None:
    publish_together(store, FACES, ("a", "b"))
    with store.writer(CROP) as writer:
        writer.begin()
        writer.append(make_rows(CROP, 5))
        writer.finish()
    found = gc(store, keep=NONE, grace=NONE)
    assert [p.feature for p in found.parts] == ["crop"]
    assert on_disk(store) == parts_of(store)
    assert verify(store).clean


def test_a_part_younger_than_the_grace_time_never_goes(store: FeatureStore) -> None:
    with store.writer(CROP) as writer:
        writer.begin()
        writer.append(make_rows(CROP, 5))
        writer.finish()
    found = gc(store, keep=NONE)
    assert (found.parts, found.young) == ([], 1)
    assert len(on_disk(store)) == 1


def test_what_recent_versions_name_stays_for_the_days_kept(store: FeatureStore) -> None:
    publish_together(store, FACES, ("a", "b"))
    withdraw(store, "faces")
    assert gc(store, grace=NONE).parts == []
    assert FeatureStore.open(store.root, at=1).published()
    assert len(gc(store, keep=NONE, grace=NONE).parts) == 1
    with pytest.raises(StoreError):
        FeatureStore.open(store.root, at=1).published()


def test_what_is_tagged_stays_readable_until_the_tag_is_deleted(store: FeatureStore) -> None:
    first, _ = publish_together(store, FACES, ("a", "b"))
    set_tag(store.location, "paper", store.versions)
    withdraw(store, "faces")
    assert gc(store, keep=NONE, grace=NONE).parts == []
    old = FeatureStore.open(store.root, at=find_tag(store.location, "paper").versions)
    assert old.read_result(first).rows == first.rows
    delete_tag(store.location, "paper")
    assert len(gc(store, keep=NONE, grace=NONE).parts) == 1


def test_files_of_expired_versions_go_and_the_newest_reads_as_before(tmp_path: Path) -> None:
    store = filled_store(tmp_path / "store")
    before = contents(store)
    table = store.snapshot["catalogue"]
    table.rewrite(table.read(), table.version)
    found = gc(store, keep=NONE, grace=NONE)
    assert len([f for f in found.files if f.key.startswith("catalogue/")]) == 5
    assert contents(FeatureStore.open(store.root)) == before
    assert verify(store).clean
    assert gc(store, keep=NONE, grace=NONE).bytes == 0


def test_a_dry_run_removes_nothing(store: FeatureStore) -> None:
    publish_together(store, FACES, ("a", "b"))
    withdraw(store, "faces")
    read_only = FeatureStore.open(store.root, read_only=True)
    found = gc(read_only, keep=NONE, grace=NONE, dry_run=True)
    assert len(found.parts) == 1
    assert found.bytes > 0
    assert len(on_disk(store)) == 1
    with pytest.raises(ReadOnlyStore):
        gc(read_only)


def test_old_staging_folders_go_and_young_ones_stay(store: FeatureStore) -> None:
    folder = store.location.path / "parts" / "faces"
    for name in (".staging-old", ".trash-old", ".staging-empty", ".staging-young"):
        (folder / name).mkdir(parents=True)
    (folder / ".staging-old" / "x").write_bytes(b"12345")
    past = time.time() - 2 * 86_400
    for path in [*folder.glob(".*-old"), folder / ".staging-empty", folder / ".staging-old/x"]:
        os.utime(path, (past, past))
    found = gc(store)
    assert len(found.leftovers) == 3
    assert [p.name for p in folder.iterdir()] == [".staging-young"]


def test_what_was_being_written_into_a_table_goes_once_it_is_old(store: FeatureStore) -> None:
    folder, past = store.location.path / "catalogue", time.time() - 2 * 86_400
    for name in (".staging-old", "part-00000-aa.zstd.parquet#1", ".staging-young"):
        (folder / name).write_bytes(b"12345")
        if "young" not in name:
            os.utime(folder / name, (past, past))
    assert {f.key.rpartition("/")[2] for f in gc(store).files} == {
        ".staging-old",
        "part-00000-aa.zstd.parquet#1",
    }
    assert (folder / ".staging-young").exists()


def test_nothing_is_removed_while_a_needed_file_is_missing(store: FeatureStore) -> None:
    publish_together(store, FACES, ("a", "b"))
    (path,) = (store.location.path / "catalogue").glob("*.parquet")
    path.unlink()
    with pytest.raises(StoreError, match="restore it"):
        gc(store, keep=NONE, grace=NONE)
    assert len(on_disk(store)) == 1


def test_gc_beside_writers_loses_nothing(store: FeatureStore) -> None:
    stop = threading.Event()
    errors: list[Exception] = []

    def collect() -> None:
        mine = FeatureStore.open(store.root)
        while not stop.is_set():
            try:
                gc(mine, keep=timedelta(seconds=20), grace=timedelta(seconds=20))
            except Exception as error:
                errors.append(error)

    def publish(seed: int) -> None:
        mine = FeatureStore.open(store.root)
        try:
            for i in range(4):
                publish_together(mine, FACES, ("a", "b"), made_by=OTHER, seed=10 * seed + i)
        except Exception as error:
            errors.append(error)

    collector = threading.Thread(target=collect)
    writers = [threading.Thread(target=publish, args=(n,)) for n in range(3)]
    for thread in (collector, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    collector.join()
    assert errors == []
    assert len(store.published()) == 24
    assert verify(store).clean


def test_gc_works_on_a_remote_store(s3: Location) -> None:
    store = FeatureStore.create(s3.url, storage_options=s3.storage_options)
    store.upsert_clips("c", clip_table("a", "b"))
    publish_together(store, FACES, ("a", "b"), made_by=NODES["faces"])
    kept = publish_together(store, CROP, ("a",))
    withdraw(store, "faces")
    assert [p.feature for p in gc(store, keep=NONE, grace=NONE).parts] == ["faces"]
    assert [f for f, _ in take_inventory(s3).parts] == ["crop"]
    assert_same(store.read("a", "crop", stale="allow"), store.read_result(kept[0]))
    configure(store, node(CROP, version=2))
    publish_together(store, CROP, ("a",), made_by=node(CROP, version=2), seed=1)
    done = gc(store, keep=NONE, grace=NONE, superseded=True)
    assert (done.superseded, [p.part for p in done.parts]) == (1, [kept[0].pieces[0].part])
    assert store.read("a", "crop").rows == kept[0].rows
    assert verify(store).clean
