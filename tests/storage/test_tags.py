"""Tags name the versions of all tables; a store is read at a tag, a version or a time."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from store_kit import (
    FACES,
    WHOLE,
    assert_same,
    clip_table,
    configure,
    extracted,
    failure,
    make_rows,
    new_store,
    node,
)

from storage import FeatureStore, ReadOnlyStore, StoreError, TagExists, UnknownVersion, WrongTag
from storage.errors import Conflict
from storage.location import Location
from storage.schemas import SCHEMAS
from storage.snapshot import At
from storage.tables import Table

OLD, NEW = make_rows(FACES, 9, seed=1), make_rows(FACES, 9, seed=2)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """One clip's faces, made by a configuration."""
    store = new_store(tmp_path / "s")
    configure(store, node(FACES))
    extracted(store, "a", FACES, node(FACES), OLD)
    return store


def change(store: FeatureStore) -> None:
    """Another configuration, its result, another clip, a failure."""
    configure(store, node(FACES, version=2))
    extracted(store, "a", FACES, node(FACES, version=2), NEW)
    store.upsert_clips("c", clip_table("later"))
    store.commit([], [failure("b", node(FACES), "key", "broken")])


def test_a_tag_records_the_version_of_every_table(store: FeatureStore) -> None:
    before = store.versions
    tag = store.tag("paper", "as submitted")
    assert set(tag.versions) == set(SCHEMAS)
    assert tag.versions == before
    assert store.tags() == [tag]
    assert (tag.name, tag.message) == ("paper", "as submitted")


def test_what_was_tagged_reads_as_it_was_after_everything_changed(store: FeatureStore) -> None:
    store.tag("paper")
    change(store)
    old = FeatureStore.open(store.root, at="paper")
    assert_same(old.read("a", "faces"), OLD)
    assert_same(store.read("a", "faces"), NEW)
    assert old.clips()["clip"].to_pylist() == ["a", "b"]
    assert len(old.failures()) == 0
    configuration = old.configuration()
    assert configuration is not None
    assert configuration.nodes == (node(FACES),)
    with pytest.raises(ReadOnlyStore):
        old.tag("other")


def test_an_existing_name_is_refused_unless_it_is_moved(store: FeatureStore) -> None:
    first = store.tag("paper")
    change(store)
    with pytest.raises(TagExists, match=r"'paper' stands for catalogue version 1 .*--move"):
        store.tag("paper")
    assert store.tags() == [first]
    moved = store.tag("paper", "as printed", move=True)
    assert store.tags() == [moved]
    assert moved.versions["catalogue"] == 2
    assert_same(FeatureStore.open(store.root, at="paper").read("a", "faces"), NEW)


def test_a_deleted_tag_is_gone_and_its_name_free(store: FeatureStore) -> None:
    store.tag("paper")
    store.tag("other")
    store.delete_tag("paper")
    assert [tag.name for tag in store.tags()] == ["other"]
    with pytest.raises(UnknownVersion, match="no tag 'paper'"):
        FeatureStore.open(store.root, at="paper")
    with pytest.raises(UnknownVersion, match="no tag 'paper'"):
        store.delete_tag("paper")
    store.tag("paper", "again")
    assert {tag.name: tag.message for tag in store.tags()} == {"other": "", "paper": "again"}


def test_a_misspelt_tag_comes_with_the_nearest_name(store: FeatureStore) -> None:
    store.tag("camera-ready")
    with pytest.raises(UnknownVersion, match="did you mean 'camera-ready'"):
        FeatureStore.open(store.root, at="camera_ready")


@pytest.mark.parametrize(
    "name", ["", "now", "Now", "12", "2026-11-20", "-v", "a b", "a/b", "é", "a" * 101, "a\n"]
)
def test_a_name_that_could_mean_something_else_is_refused(store: FeatureStore, name: str) -> None:
    with pytest.raises(WrongTag, match="can't be a tag's name"):
        store.tag(name)
    assert store.tags() == []


def test_an_earlier_version_can_be_tagged_afterwards(store: FeatureStore) -> None:
    version = store.versions["catalogue"]
    change(store)
    store.tag("before", at=version)
    assert_same(FeatureStore.open(store.root, at="before").read("a", "faces"), OLD)


def test_a_version_whose_files_are_gone_is_not_tagged(store: FeatureStore, tmp_path: Path) -> None:
    version = store.versions["catalogue"]
    for file in (tmp_path / "s/catalogue").glob("*.parquet"):
        file.unlink()
    with pytest.raises(StoreError, match="gone"):
        store.tag("before", at=version)
    assert store.tags() == []


def test_a_point_is_a_version_a_moment_or_the_text_of_either(store: FeatureStore) -> None:
    version = store.versions["catalogue"]
    moment = store.log()[0].time
    change(store)
    east = moment.astimezone(None)
    points: list[At] = [version, str(version), moment, moment.isoformat(), east.isoformat()]
    points += [f"{moment:%Y-%m-%dT%H:%M:%S.%f}", f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"]
    for at in points:
        old = FeatureStore.open(store.root, at=at)
        assert old.versions["catalogue"] == version, at
        assert old.versions["configurations"] == 1, at
    assert FeatureStore.open(store.root, at="now").versions == store.versions


@pytest.mark.parametrize(
    ("at", "error", "says"),
    [
        ("99", UnknownVersion, "99"),
        (99, UnknownVersion, "those from 0 to 1"),
        (-1, UnknownVersion, "-1"),
        ("1999-12-31", UnknownVersion, "the store begins at 20"),
        ("yesterday", UnknownVersion, "no tag 'yesterday'"),
        ("20:15 today", WrongTag, "no tag, no version and no time"),
        (datetime(2026, 1, 1), WrongTag, "time zone"),
        ({"catalogue": 99}, UnknownVersion, "version 99 of the catalogue"),
    ],
)
def test_a_point_that_is_not_there_is_told(
    store: FeatureStore, at: At, error: type[StoreError], says: str
) -> None:
    with pytest.raises(error, match=says):
        FeatureStore.open(store.root, at=at).catalogue()


def test_a_version_means_what_its_commit_saw_though_clocks_disagree(store: FeatureStore) -> None:
    store.upsert_clips("c", clip_table("later"))
    extracted(store, "a", FACES, node(FACES, version=2), NEW)
    version = store.versions["catalogue"]
    # as if another machine, whose clock is an hour slow, had ingested afterwards
    store.upsert_clips("c", clip_table("last"))
    log = Path(store.root) / "clips/_delta_log" / f"{store.versions['clips']:020d}.json"
    shifted, count = re.subn(
        r'"timestamp":(\d+)', lambda m: f'"timestamp":{int(m[1]) - 3_600_000}', log.read_text()
    )
    assert count == 1
    log.write_text(shifted)
    old = FeatureStore.open(store.root, at=version)
    assert old.clips()["clip"].to_pylist() == ["a", "b", "later"]


def test_a_version_that_another_program_committed_is_placed_by_its_time(
    store: FeatureStore,
) -> None:
    table = DeltaTable(f"{store.root}/catalogue")
    rows = store.catalogue()
    write_deltalake(table, rows, mode="append", commit_properties=CommitProperties())
    version = store.versions["catalogue"]
    change(store)
    old = FeatureStore.open(store.root, at=version)
    assert len(old.catalogue()) == 2 * len(rows)
    assert old.clips()["clip"].to_pylist() == ["a", "b"]


def test_of_many_that_tag_at_once_under_one_name_exactly_one_does(store: FeatureStore) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as processes:
        asked = [processes.submit(_tag, store.root, "paper", f"by {i}") for i in range(9)]
        won = [message for message in (job.result() for job in asked) if message]
    assert len(won) == 1
    assert [(tag.name, tag.message) for tag in store.tags()] == [("paper", won[0])]


def test_many_names_at_once_are_all_set(store: FeatureStore) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda i: FeatureStore.open(store.root).tag(f"t{i}"), range(12)))
    assert {tag.name for tag in store.tags()} == {f"t{i}" for i in range(12)}


def test_a_tag_amid_commits_names_versions_that_fit_each_other(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", ("clip00",))
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(_ingest_and_publish, store.root, 12)
        tags = [store.tag(f"t{i}") for i in range(8)]
        writing.result()
    for tag in tags:
        old = FeatureStore.open(store.root, at=tag.name)
        clips = set(old.clips()["clip"].to_pylist())
        done = set(old.catalogue()["clip"].to_pylist())
        # clip n is ingested before clip n - 1 is published: at most one is without a result
        assert done <= clips
        assert len(clips - done) <= 2
        assert len(old.snapshot["extractors"].read()) >= bool(done)


def test_what_tags_keep_is_told_whatever_the_store_is_open_at(store: FeatureStore) -> None:
    assert store.tags() == []
    first = store.tag("first")
    change(store)
    second = store.tag("second")
    store.tag("third", move=True)
    store.delete_tag("third")
    old = FeatureStore.open(store.root, at="first")
    kept = [first.versions, second.versions]
    assert [[tag.versions for tag in s.tags()] for s in (old, store)] == [kept, kept]


def test_the_log_tells_each_commit_newest_first_with_its_tags(store: FeatureStore) -> None:
    store.tag("paper")
    change(store)
    told = [(c.table, c.version, c.what, c.tags) for c in store.log()]
    key = store.published()[0].run
    assert told[:4] == [
        ("failures", 1, "1 result in quarantine", ()),
        ("clips", 2, "c: 1 new clip, 3 in all", ()),
        ("catalogue", 2, f"1 result of faces for 1 clip, run {key}", ()),
        ("configurations", 2, "configuration default, version 2", ()),
    ]
    assert ("tags", 1, "tag paper set", ()) in told
    assert ("catalogue", 1, f"1 result of faces for 1 clip, run {key}", ("paper",)) in told
    assert told[-1] == ("catalogue", 0, "the store was made", ())


def test_the_log_of_an_earlier_point_stops_there(store: FeatureStore) -> None:
    store.tag("paper")
    known = {(c.table, c.version) for c in store.log() if c.table != "tags"}
    change(store)
    old = FeatureStore.open(store.root, at="paper").log()
    assert {(c.table, c.version) for c in old if c.table != "tags"} == known
    assert [c.tags for c in old if c.table == "catalogue"] == [("paper",), ()]


def test_tags_and_points_work_in_a_bucket(s3: Location) -> None:
    store = FeatureStore.create(s3.url, storage_options=s3.storage_options)
    store.upsert_clips("c", clip_table("a"))
    old, new = make_rows(WHOLE, 1, seed=1), make_rows(WHOLE, 1, seed=2)
    store.publish("a", WHOLE, old)
    store.tag("paper")
    with pytest.raises(TagExists):
        store.tag("paper")
    store.publish("a", WHOLE, new)
    for at in ("paper", 1):
        then = FeatureStore.open(s3.url, at=at, storage_options=s3.storage_options)
        assert_same(then.read("a", "whole"), old)
    assert_same(store.read("a", "whole"), new)
    store.delete_tag("paper")
    assert store.tags() == []


def _tag(root: str, name: str, message: str) -> str | None:
    try:
        return FeatureStore.open(root).tag(name, message).message
    except TagExists:
        return None


def _ingest_and_publish(root: str, clips: int) -> None:
    store = FeatureStore.open(root)
    for i in range(clips):
        store.upsert_clips("c", clip_table(f"clip{i + 1:02d}"))
        extracted(store, f"clip{i:02d}", FACES, node(FACES), make_rows(FACES, 3, seed=i))


def test_a_tag_whose_commit_was_not_answered_is_set_and_not_taken_by_somebody_else(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Table.replace

    def unanswered(*words: Any) -> None:
        monkeypatch.setattr(Table, "replace", replace)
        replace(*words)
        raise Conflict("the object store has that commit already: it is ours")

    monkeypatch.setattr(Table, "replace", unanswered)
    assert store.tag("mine").name == "mine"
    assert [tag.name for tag in store.tags()] == ["mine"]
    with pytest.raises(TagExists):
        store.tag("mine")
