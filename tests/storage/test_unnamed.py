"""Once a clip was forgotten, whatever leaves rows that nobody names also empties them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import storage.compact as compacting
from storage import FeatureStore
from storage.compact import compact
from storage.copy import copy
from storage.forget import find_clips, forget
from storage.gc import gc
from storage.inventory import take_inventory
from storage.repair import repair
from storage.tags import set_tag
from storage.verify import verify
from storage.withdrawn import commit_kept
from tests.storage.store_kit import CROP, FACES, assert_same, clip_table, configure, new_store
from tests.storage.upkeep_kit import CLIPS, NODES, SPECS, file_of, flip, publish_together

NONE = timedelta(0)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = new_store(tmp_path / "store", CLIPS)
    configure(store, *NODES.values())
    return store


def damage(store: FeatureStore, clip: str) -> None:
    (result,) = store.published(clips=[clip], features=["faces"])
    flip(file_of(store, result, "values"), result.pieces[0].row_start * FACES.row_bytes)


def test_gc_empties_the_rows_of_results_that_were_withdrawn(store: FeatureStore) -> None:
    publish_together(store, FACES, CLIPS)
    wanted = store.read("d", "faces")
    forget(store, [("c", "b")])
    damage(store, "a")
    repair(store)
    publish_together(store, FACES, ("a",))
    time.sleep(0.01)
    assert gc(store, keep=NONE, grace=NONE).wiped == 1
    assert verify(store).clean
    assert_same(store.read("d", "faces"), wanted)


def test_gc_of_a_store_without_forgotten_clips_wipes_nothing(store: FeatureStore) -> None:
    publish_together(store, FACES, CLIPS)
    damage(store, "a")
    repair(store)
    time.sleep(0.01)
    assert gc(store, keep=NONE, grace=NONE).wiped == 0


def test_repair_empties_the_rows_that_a_tag_no_longer_reads(store: FeatureStore) -> None:
    publish_together(store, FACES, CLIPS)
    set_tag(store.location, "paper", store.versions)
    forget(store, [("c", "b")])
    damage(store, "a")
    repair(store)
    publish_together(store, FACES, ("a",))
    assert len(repair(store).restored) == 1
    assert verify(store).clean


def forget_before_the_commit(monkeypatch: pytest.MonkeyPatch, clips: Sequence[str]) -> None:
    real = compacting._commit

    def between(store: FeatureStore, feature: str, moves: compacting.Move) -> None:
        forget(FeatureStore.open(store.root), [("c", clip) for clip in clips])
        real(store, feature, moves)

    monkeypatch.setattr(compacting, "_commit", between)


@pytest.mark.parametrize("gone", [("a",), ("b", "d"), CLIPS])
def test_a_compaction_that_began_before_a_forget_leaves_nothing_of_the_clip(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...]
) -> None:
    for clip in CLIPS:
        publish_together(store, FACES, (clip,))
    wanted = {c: store.read(c, "faces") for c in CLIPS if c not in gone}
    forget_before_the_commit(monkeypatch, gone)
    compact(store)
    assert verify(store).clean
    assert not verify(store).orphans
    for clip, rows in wanted.items():
        assert_same(store.read(clip, "faces"), rows)


def test_damaged_rows_are_taken_along_neither_by_compact_nor_by_copy(
    store: FeatureStore, tmp_path: Path
) -> None:
    for clip in CLIPS:
        publish_together(store, FACES, (clip,))
    damage(store, "a")
    target = FeatureStore.create(tmp_path / "copy")
    assert len(copy(store, target).damaged) == 1
    forget(target, [("c", "b")])
    assert verify(target).clean
    forget(store, [("c", "b")])
    assert compact(store).damaged
    assert {p.kind for p in verify(store).problems} == {"damaged"}


def test_adopting_rows_for_a_clip_forgotten_meanwhile_leaves_their_owner_whole(
    store: FeatureStore,
) -> None:
    (own,) = publish_together(store, FACES, ("a",))
    wanted = store.read("a", "faces")
    forget(FeatureStore.open(store.root), [("c", "b")])
    assert commit_kept(store, [replace(own, clip="b")], []) == ([], [])
    assert_same(store.read("a", "faces"), wanted)
    assert verify(store).clean


@pytest.mark.parametrize("another", [(), (("c", "a"),)])
def test_a_forget_that_broke_off_is_completed_by_the_next_one(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, another: tuple[tuple[str, str], ...]
) -> None:
    for spec in SPECS:
        publish_together(store, spec, CLIPS)
    store.upsert_clips("c", clip_table("b", subject=["s"]))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("storage.forget._scrub", stop)
        with pytest.raises(KeyboardInterrupt):
            forget(store, find_clips(store, subject="s"))
    assert not verify(store).clean
    forget(FeatureStore.open(store.root), another)
    assert verify(store).clean
    assert {r.clip for r in store.published()} == {"a", "d"} - {clip for _, clip in another}


def test_a_forget_that_broke_off_before_the_catalogue_is_completed_too(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_together(store, FACES, CLIPS)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("storage.forget._empty", stop)
        with pytest.raises(KeyboardInterrupt):
            forget(store, [("c", "b")])
    forget(store, [])
    assert {r.clip for r in store.published()} == {"a", "d"}
    assert verify(store).clean


def test_repair_empties_rows_that_nobody_names(store: FeatureStore) -> None:
    publish_together(store, FACES, CLIPS)
    forget(store, [("c", "b")])
    (a,) = store.published(clips=["a"])
    first = -(-a.pieces[0].row_stop // 16) * 16
    flip(file_of(store, a, "digest"), first * 8)
    assert [p.kind for p in verify(store).problems] == ["remains"]
    assert repair(store, dry_run=True).wiped == 0
    assert repair(store).wiped == 1
    assert verify(store).clean


def test_parts_that_are_gone_or_damaged_stop_no_clean_up(store: FeatureStore) -> None:
    publish_together(store, FACES, CLIPS)
    publish_together(store, CROP, CLIPS)
    forget(store, [("c", "b")])
    (part,) = [p for p in take_inventory(store.location).parts if p[0] == "crop"]
    shutil.rmtree(store.location.path / take_inventory(store.location).parts[part].key / "values")
    damage(store, "a")
    repair(store)
    time.sleep(0.01)
    assert gc(store, keep=NONE, grace=NONE).wiped == 1
    assert verify(store).clean
