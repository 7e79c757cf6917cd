"""Damage of every kind is found, named, and repaired by publishing the same rows again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from features.spec import FeatureSpec
from storage import FeatureStore, ReadOnlyStore
from storage.codecs import RAW
from storage.gc import gc
from storage.layout import PartLayout, part_key
from storage.reader import PartReader
from storage.repair import CODE, PREFIX, repair
from storage.tags import find_tag, set_tag
from storage.verify import DAMAGED, MISSING, verify
from tests.storage.store_kit import CROP, FACES, POINTS, SOUND, WHOLE, assert_same
from tests.storage.upkeep_kit import (
    CLIPS,
    SPECS,
    contents,
    copy_of,
    file_of,
    filled_store,
    flip,
    publish_together,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return filled_store(tmp_path_factory.mktemp("made") / "store")


@pytest.fixture
def store(made: FeatureStore, tmp_path: Path) -> FeatureStore:
    return copy_of(made, tmp_path / "store")


def test_a_sound_store_is_clean(store: FeatureStore) -> None:
    found = verify(store)
    assert found.clean
    assert (found.results, found.of, found.parts) == (15, 15, 5)
    assert not found.orphans


def test_an_archive_is_verified_like_a_raw_store(tmp_path: Path) -> None:
    store = filled_store(tmp_path / "store", codec="zstd")
    assert verify(store).clean
    (result,) = store.published(clips=["a"], features=["crop"])
    flip(file_of(store, result, "values"), 30)
    assert [(p.kind, p.feature, p.clips) for p in verify(store).problems] == [
        (DAMAGED, "crop", (("c", "a"),))
    ]


@pytest.mark.parametrize("array", ["values", "valid", "digest"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_a_flipped_byte_is_found_and_only_its_own_clip_is_named(
    store: FeatureStore, spec: FeatureSpec, array: str
) -> None:
    (first, *_) = store.published(clips=["a"], features=[spec.name])
    flip(file_of(store, first, array), 0)
    (problem,) = verify(store).problems
    assert (problem.kind, problem.feature) == (DAMAGED, first.feature)
    assert problem.part == first.pieces[0].part
    assert problem.clips == (("c", "a"),)


@pytest.mark.parametrize("array", ["values", "valid", "digest", "offsets"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_a_flipped_byte_in_padding_is_found(
    store: FeatureStore, spec: FeatureSpec, array: str
) -> None:
    found = [store.published(clips=[clip], features=[spec.name])[0] for clip in "abd"]
    if array == "offsets" and not spec.ragged:
        return
    path, layout = file_of(store, found[0], array), PartLayout(spec, RAW)
    of_part = next(one for one in layout.arrays if one.name == array)
    rows = PartReader(store.location, spec.name, found[0].pieces[0].part).header.rows[array]
    behind_last = rows * of_part.row_bytes
    assert behind_last < path.stat().st_size
    if of_part.chunks(rows) * of_part.chunk > rows:
        flip(path, behind_last + 3)
        (problem,) = verify(store).problems
        assert problem.clips == (("c", "a"), ("c", "b"), ("c", "d"))
        flip(path, behind_last + 3)
    between = found[1].pieces[0].row_start
    end = found[0].pieces[0].row_stop + (array == "offsets")
    if array in ("valid", "digest"):
        end, between = -(-end // spec.block), between // spec.block
    if end < between and (array == "offsets" or not (spec.ragged and array == "values")):
        flip(path, end * of_part.row_bytes)
        (problem,) = verify(store).problems
        assert (problem.feature, problem.clips) == (spec.name, (("c", "a"),))
        flip(path, end * of_part.row_bytes)
    assert not verify(store).problems


def test_a_flipped_byte_of_the_last_clip_names_the_last_clip(store: FeatureStore) -> None:
    (last,) = store.published(clips=["d"], features=["faces"])
    flip(file_of(store, last, "values"), last.pieces[0].row_start * FACES.row_bytes)
    (problem,) = verify(store).problems
    assert problem.clips == (("c", "d"),)


def test_a_flipped_byte_in_offsets_is_found(store: FeatureStore) -> None:
    (first,) = store.published(clips=["a"], features=["points"])
    flip(file_of(store, first, "offsets"), 8 * 5)
    (problem,) = verify(store).problems
    assert (problem.feature, problem.clips) == ("points", (("c", "a"),))


def _truncate(part: Path) -> None:
    path = part / "values/c/0/0"
    path.write_bytes(path.read_bytes()[:-30])


def _lose_array(part: Path) -> None:
    shutil.rmtree(part / "valid")


def _spoil_index(part: Path) -> None:
    path = part / "values/c/0/0"
    flip(path, path.stat().st_size - 10)


def _spoil_metadata(part: Path) -> None:
    (part / "zarr.json").write_bytes((part / "zarr.json").read_bytes()[:-40])


def _spoil_array_metadata(part: Path) -> None:
    path = part / "values/zarr.json"
    path.write_text(path.read_text().replace("float32", "float64"))


@pytest.mark.parametrize(
    "harm", [_truncate, _lose_array, _spoil_index, _spoil_metadata, _spoil_array_metadata]
)
def test_harm_to_a_whole_part_names_all_its_clips(
    store: FeatureStore, harm: Callable[[Path], None]
) -> None:
    (first,) = store.published(clips=["a"], features=["faces"])
    harm(store.location.path / part_key("faces", first.pieces[0].part))
    (problem,) = verify(store).problems
    assert (problem.kind, problem.feature, problem.part) == (
        DAMAGED,
        "faces",
        first.pieces[0].part,
    )
    assert problem.clips == (("c", "a"), ("c", "b"), ("c", "d"))


def test_a_deleted_part_is_missing(store: FeatureStore) -> None:
    (first,) = store.published(clips=["a"], features=["sound"])
    shutil.rmtree(store.location.path / part_key("sound", first.pieces[0].part))
    (problem,) = verify(store).problems
    assert (problem.kind, problem.feature) == (MISSING, "sound")
    assert len(problem.clips) == 3


def test_a_missing_file_of_a_table_is_found(store: FeatureStore) -> None:
    (path,) = (store.location.path / "clips").glob("*.parquet")
    path.unlink()
    (problem,) = verify(store).problems
    assert (problem.kind, problem.part) == (MISSING, f"clips/{path.name}")


def test_a_part_that_nobody_names_is_an_orphan_and_no_fault(store: FeatureStore) -> None:
    with store.writer(CROP) as writer:
        writer.begin()
        writer.append(CROP.invalid(3))
        writer.finish()
    found = verify(store)
    assert found.clean
    assert [p.feature for p in found.orphans] == ["crop"]


def test_a_sample_reads_some_and_always_notices_a_missing_part(store: FeatureStore) -> None:
    found = verify(store, sample=0.5, seed=1)
    assert 0 < found.results < found.of
    shutil.rmtree(store.location.path / "parts" / "whole")
    assert [p.feature for p in verify(store, sample=0.0).problems] == ["whole"]


def test_repair_withdraws_the_damaged_result_alone(store: FeatureStore) -> None:
    (first,) = store.published(clips=["a"], features=["faces"])
    flip(file_of(store, first, "values"), 0)
    done = repair(store)
    assert [(r.clip, r.feature) for r in done.withdrawn] == [("a", "faces")]
    assert store.published(clips=["a"], features=["faces"]) == []
    assert len(store.published()) == 14
    assert verify(store).clean
    (note,) = store.failures().to_pylist()
    assert (note["code"], note["fingerprint"]) == (CODE, PREFIX + first.fingerprint)


@pytest.mark.parametrize("spec", [FACES, POINTS, SOUND, WHOLE], ids=lambda s: s.name)
def test_publishing_again_after_a_repair_restores_the_same_hashes(
    store: FeatureStore, spec: FeatureSpec
) -> None:
    before = contents(store)
    shutil.rmtree(store.location.path / "parts" / spec.name)
    repair(store)
    assert contents(store) != before
    publish_together(store, spec, CLIPS)
    assert contents(store) == before
    assert verify(store).clean


def test_a_dry_run_of_repair_changes_nothing(store: FeatureStore) -> None:
    (first,) = store.published(clips=["a"], features=["faces"])
    flip(file_of(store, first, "values"), 0)
    before = store.versions
    read_only = FeatureStore.open(store.root, read_only=True)
    assert len(repair(read_only, dry_run=True).withdrawn) == 1
    assert store.versions == before


def test_a_store_open_for_reading_is_not_repaired(store: FeatureStore) -> None:
    with pytest.raises(ReadOnlyStore):
        repair(FeatureStore.open(store.root, read_only=True))


def test_results_that_share_damaged_rows_are_withdrawn_together(store: FeatureStore) -> None:
    (first,) = store.published(clips=["a"], features=["faces"])
    store.commit([replace(first, clip="b")])
    flip(file_of(store, first, "values"), 0)
    assert {r.clip for r in repair(store).withdrawn} == {"a", "b"}
    assert len(store.published(clips=["b"], features=["faces"])) == 1


@pytest.mark.parametrize("spec", [FACES, POINTS], ids=lambda s: s.name)
def test_a_damaged_result_under_a_tag_is_restored_once_its_rows_are_there_again(
    store: FeatureStore, spec: FeatureSpec
) -> None:
    wanted = store.read("a", spec.name)
    set_tag(store.location, "paper", store.versions)
    at = find_tag(store.location, "paper").versions
    shutil.rmtree(store.location.path / "parts" / spec.name)
    first = repair(store)
    assert (len(first.withdrawn), len(first.restored), len(first.tagged)) == (3, 0, 0)
    assert len(repair(store).tagged) == 3
    publish_together(store, spec, CLIPS)
    second = repair(store)
    assert (len(second.withdrawn), len(second.restored), len(second.tagged)) == (0, 3, 0)
    assert verify(store).clean
    assert_same(FeatureStore.open(store.root, at=at).read("a", spec.name), wanted)
    assert len(FeatureStore.open(store.root, at=at).published()) == 15
    gc(store, keep=timedelta(0), grace=timedelta(0))
    assert verify(store).clean
