"""Stores in odd places, with files lost or cut short, and under clocks that don't agree."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from storage import DamagedPart, FeatureStore
from storage import clock as store_clock
from storage.compact import compact
from storage.copy import copy
from storage.diff import diff
from storage.errors import StoreError
from storage.gc import gc
from storage.location import Location
from storage.repair import repair
from storage.usage import usage
from storage.verify import verify
from tests.storage.store_kit import FACES, WHOLE, assert_same, make_rows, new_store
from tests.storage.upkeep_kit import CLIPS, contents, copy_of, file_of, filled_store

#: what URLs, shells and globs read something into
ODD = "Größe 100% #1 {a}*?&=+ 表情"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return filled_store(tmp_path_factory.mktemp("filled") / "store")


def test_a_store_moves_to_a_folder_of_any_name_and_does_everything_there(
    filled: FeatureStore, tmp_path: Path
) -> None:
    want = contents(filled)
    copy_of(filled, tmp_path / "before").tag("first")
    (tmp_path / ODD).mkdir()
    root = shutil.move(tmp_path / "before", tmp_path / ODD / ODD)
    store = FeatureStore.open(root)
    assert contents(store) == want
    store.publish("a", FACES, make_rows(FACES, 9, seed=5))
    store.tag("second")
    compact(store)
    gc(store, keep=timedelta(0), grace=timedelta(0))
    assert verify(store).clean
    first = FeatureStore.open(root, at="first")
    assert_same(first.read("b", "points"), filled.read("b", "points"))
    assert [f.feature for f in diff(first, store) if f.differs] == ["faces"]
    target = FeatureStore.create(tmp_path / f"{ODD} copy")
    copy(store, target)
    assert contents(target) == contents(store)
    names = {tag.name for tag in usage(store).tags}
    assert names == {"first", "second"}


def test_a_relative_path_is_the_same_store_from_another_folder(
    filled: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copy_of(filled, tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    relative = FeatureStore.open("store")
    monkeypatch.chdir("/")
    assert contents(relative) == contents(store)


@pytest.mark.parametrize("name", ["[a]", "a|b", "a^b", "a\\b", "a%20b", "a\nb"])
def test_a_name_that_delta_tables_do_not_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="rename it, or choose another one"):
        FeatureStore.create(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_lost_pointer_to_the_checkpoint_loses_nothing(
    filled: FeatureStore, tmp_path: Path
) -> None:
    store = copy_of(filled, tmp_path / "store")
    DeltaTable(f"{store.root}/catalogue").create_checkpoint()
    (store.location.path / "catalogue" / "_delta_log" / "_last_checkpoint").unlink()
    again = FeatureStore.open(store.root)
    again.publish("b", WHOLE, make_rows(WHOLE, 1, seed=6))
    compact(again)
    assert contents(FeatureStore.open(store.root)).keys() == contents(filled).keys()
    assert verify(again).clean


@pytest.mark.parametrize("left", [0, 0.5, None])
def test_a_lost_checkpoint_is_told_with_the_remedy(
    filled: FeatureStore, tmp_path: Path, left: float | None
) -> None:
    store = copy_of(filled, tmp_path / "store")
    DeltaTable(f"{store.root}/catalogue").create_checkpoint()
    log = store.location.path / "catalogue" / "_delta_log"
    (checkpoint,) = log.glob("*.checkpoint.parquet")
    if left is None:
        checkpoint.unlink()
    else:
        os.truncate(checkpoint, int(checkpoint.stat().st_size * left))
    with pytest.raises(StoreError, match="_last_checkpoint"):
        FeatureStore.open(store.root).published()
    (log / "_last_checkpoint").unlink()
    checkpoint.unlink(missing_ok=True)
    assert contents(FeatureStore.open(store.root)) == contents(filled)


@pytest.mark.parametrize("array", ["values", "valid", "digest"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_a_part_that_was_cut_short_is_told_and_withdrawn(
    filled: FeatureStore, tmp_path: Path, array: str, left: float
) -> None:
    store = copy_of(filled, tmp_path / "store")
    hurt = store.published(features=["crop"])
    path = file_of(store, hurt[0], array)
    os.truncate(path, int(path.stat().st_size * left))
    if array != "digest":
        with pytest.raises(DamagedPart, match="crop"):
            [store.read_result(result) for result in hurt]
    found = verify(store)
    assert {p.feature for p in found.problems} == {"crop"}
    repair(store, found)
    assert {r.feature for r in store.published()} == {"faces", "points", "sound", "whole"}
    gc(store, keep=timedelta(0), grace=timedelta(0))
    assert verify(store).clean


def test_a_clock_that_was_set_back_makes_no_old_result_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path / "store")
    old, new = make_rows(FACES, 9, seed=1), make_rows(FACES, 9, seed=2)
    store.publish("a", FACES, old)
    store.tag("t")
    past = datetime(2001, 1, 1, tzinfo=UTC)

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return past

    monkeypatch.setattr(store_clock, "datetime", SetBack)
    store.publish("a", FACES, new)
    assert_same(store.read("a", "faces"), new)
    store.tag("t", move=True)
    assert_same(FeatureStore.open(store.root, at="t").read("a", "faces"), new)
    (found,) = diff(FeatureStore.open(store.root, at=store.versions["catalogue"] - 1), store)
    assert found.rows_changed == int((old.digest != new.digest).sum())


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.long)])
def test_many_tags_are_all_kept_told_and_read(
    filled: FeatureStore, tmp_path: Path, count: int
) -> None:
    store = copy_of(filled, tmp_path / "store")
    for number in range(count):
        store.tag(f"t{number}")
    gc(store, keep=timedelta(0), grace=timedelta(0))
    assert len(store.tags()) == len(usage(store).tags) == count
    rows = FeatureStore.open(store.root, at="t7").read(CLIPS[0], "crop")
    np.testing.assert_array_equal(rows.values, filled.read(CLIPS[0], "crop").values)


def test_a_location_keeps_what_urls_would_read_into_a_name(tmp_path: Path) -> None:
    location = Location.parse(tmp_path / ODD)
    location.write_bytes(f"{ODD}/x", b"1")
    assert [key for key, _, _ in location.list()] == [f"{ODD}/x"]
    assert location.read_bytes(f"{ODD}/x") == b"1"
