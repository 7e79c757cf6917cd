"""A copy reads like its source, and holds nothing that wasn't asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.spec import FeatureSpec, Rows
from storage import Configuration, FeatureStore, ReadOnlyStore
from storage.compact import compact
from storage.copy import copy
from storage.errors import NotPublished
from storage.forget import forget
from storage.location import Location
from storage.repair import repair
from storage.tags import find_tag, set_tag
from storage.verify import verify
from tests.storage.store_kit import FACES, assert_same, clip_table, make_rows, node
from tests.storage.upkeep_kit import (
    CLIPS,
    ROWS,
    SPECS,
    contents,
    copy_of,
    file_of,
    filled_store,
    flip,
    publish_together,
    seed_of,
)


@pytest.fixture(scope="module", params=["raw", "zstd"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return filled_store(tmp_path_factory.mktemp("made") / "store", codec=request.param)


@pytest.fixture
def source(made: FeatureStore, tmp_path: Path) -> FeatureStore:
    return copy_of(made, tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> FeatureStore:
    return FeatureStore.create(tmp_path / "target")


def test_a_copy_reads_like_its_source(source: FeatureStore, target: FeatureStore) -> None:
    done = copy(FeatureStore.open(source.root, read_only=True), target)
    assert (done.clips, done.results, done.damaged) == (3, 15, [])
    assert contents(target) == contents(source)
    for clip in CLIPS:
        for spec in SPECS:
            assert_same(target.read(clip, spec.name), source.read(clip, spec.name))
    assert target.clip("a")["media_key"] == source.clip("a")["media_key"]
    assert verify(target).clean


def test_copying_again_copies_only_what_is_new(source: FeatureStore, target: FeatureStore) -> None:
    copy(source, target)
    versions = target.versions
    again = copy(source, target)
    assert (again.results, again.there) == (0, 15)
    assert target.versions == versions
    publish_together(source, FACES, ("a",), seed=7)
    assert copy(source, target).results == 1


def test_a_copy_that_was_broken_off_goes_on_where_it_stopped(
    source: FeatureStore, target: FeatureStore
) -> None:
    def stop(done: int, of: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, tell=stop)
    assert verify(target).clean
    again = copy(source, target)
    assert (again.there, again.results) == (6, 9)
    assert contents(target) == contents(source)


def test_one_feature_goes_without_the_others(source: FeatureStore, target: FeatureStore) -> None:
    assert copy(source, target, features=["faces"]).results == 3
    assert [p.name for p in (target.location.path / "parts").iterdir()] == ["faces"]
    assert_same(target.read("b", "faces"), source.read("b", "faces"))


def test_no_byte_of_another_corpus_goes_along(source: FeatureStore, target: FeatureStore) -> None:
    source.upsert_clips("private", clip_table("z"))
    with source.writer(FACES) as writer:
        for clip in ("a", "z"):
            writer.begin()
            writer.append(make_rows(FACES, ROWS["faces"], seed_of(clip, 9)))
            stored = writer.finish()
    assert stored.rows == ROWS["faces"]
    copy(source, target, corpus="c")
    assert target.corpora() == ["c"]
    secret = make_rows(FACES, ROWS["faces"], seed_of("z", 9)).values.tobytes()
    files = [p for p in target.location.path.rglob("*") if p.is_file()]
    assert not any(secret in p.read_bytes() for p in files)


def test_a_tag_is_copied_as_it_was(source: FeatureStore, target: FeatureStore) -> None:
    before = contents(source)
    set_tag(source.location, "paper", source.versions)
    publish_together(source, FACES, CLIPS, seed=4)
    at = find_tag(source.location, "paper").versions
    copy(FeatureStore.open(source.root, at=at), target)
    assert contents(target) == before


def test_damaged_results_are_left_out_and_told(source: FeatureStore, target: FeatureStore) -> None:
    (first,) = source.published(clips=["a"], features=["faces"])
    flip(file_of(source, first, "valid"), 0)
    shutil.rmtree(source.location.path / "parts" / "whole")
    done = copy(source, target)
    assert sorted(done.damaged) == [
        ("c", "a", "faces"),
        ("c", "a", "whole"),
        ("c", "b", "whole"),
        ("c", "d", "whole"),
    ]
    assert len(target.published()) == 11
    assert verify(target).clean


def test_metadata_of_another_feature_is_damage_to_copy_and_compact(
    source: FeatureStore, target: FeatureStore
) -> None:
    parts = source.location.path / "parts"
    (mine,), (foreign,) = (parts.glob(f"{name}/*/zarr.json") for name in ("whole", "faces"))
    mine.write_bytes(foreign.read_bytes())
    assert {f for _, _, f in copy(source, target).damaged} == {"whole"}
    assert verify(target).clean
    assert "whole" not in compact(source).after


def test_forgotten_clips_stay_behind_on_either_side(
    source: FeatureStore, target: FeatureStore
) -> None:
    copy(source, target)
    forget(target, [("c", "b")])
    assert copy(source, target).results == 0
    forget(source, [("c", "a")])
    fresh = FeatureStore.create(source.location.path.parent / "third")
    copy(source, fresh)
    assert {r.clip for r in fresh.published()} == {"b", "d"}


def test_a_read_only_target_is_refused(source: FeatureStore, target: FeatureStore) -> None:
    with pytest.raises(ReadOnlyStore):
        copy(source, FeatureStore.open(target.root, read_only=True))


def test_a_store_goes_to_an_object_store_and_back(
    source: FeatureStore, target: FeatureStore, s3: Location
) -> None:
    remote = FeatureStore.create(s3.url, storage_options=s3.storage_options)
    copy(source, remote, features=["faces", "points"])
    copy(FeatureStore.open(s3.url, read_only=True, storage_options=s3.storage_options), target)
    for feature in ("faces", "points"):
        assert_same(target.read("d", feature), source.read("d", feature))


def label(store: FeatureStore, value: float) -> None:
    spec = FeatureSpec("label.valence", "clip", (), "float32")
    store.publish("a", spec, Rows(np.array([value], np.float32), np.ones(1, bool)))


def test_copying_again_brings_labels_up_to_date_that_went_back(
    source: FeatureStore, target: FeatureStore
) -> None:
    for value in (1.0, 2.0, 1.0):
        label(source, value)
        done = copy(source, target)
        assert target.read("a", "label.valence").values.tolist() == [value]
    assert (done.results, done.bytes) == (1, 0), "the rows lay there already"
    source.upsert_clips("c", pa.table({"clip": ["a", "b"], "label.mood": ["sad", None]}))
    copy(source, target)
    assert target.clip("a")["label.mood"] == "sad"
    source.upsert_clips("c", pa.table({"clip": ["a"], "label.mood": pa.nulls(1, pa.string())}))
    copy(source, target)
    assert target.clip("a")["label.mood"] is None


def configured(number: int, *features: FeatureSpec) -> Configuration:
    """Version ``number`` of the extractors of these features, or of all."""
    nodes = tuple(node(spec, version=number) for spec in features or SPECS)
    return Configuration("default", str(number), nodes, {"faces": {"number": number}})


def test_copying_again_brings_a_configuration_up_to_date(
    source: FeatureStore, target: FeatureStore
) -> None:
    assert copy(source, target).configurations == ["default"]
    for number in (2, 3):
        source.save_configuration(configured(number))
    done = copy(source, target)
    assert (done.configurations, done.kept) == (["default"], [])
    assert target.configuration() == configured(3)
    again = copy(source, target)
    assert (again.configurations, again.kept) == ([], [])


def test_a_configuration_that_was_changed_in_the_copy_stays(
    source: FeatureStore, target: FeatureStore
) -> None:
    copy(source, target)
    target.save_configuration(configured(3))
    source.save_configuration(configured(2))
    assert copy(source, target).kept == ["default"]
    assert target.configuration() == configured(3)


def test_one_feature_takes_nothing_from_a_copys_configuration(
    source: FeatureStore, target: FeatureStore
) -> None:
    copy(source, target)
    before = target.configuration()
    source.save_configuration(configured(2))
    assert copy(source, target, features=[FACES.name]).kept == ["default"]
    assert target.configuration() == before


@pytest.mark.parametrize("work", [verify, compact, repair])
def test_a_misspelt_feature_is_refused(source: FeatureStore, work: Callable[..., object]) -> None:
    with pytest.raises(NotPublished, match=r"no result of 'face' .did you mean 'faces'"):
        work(source, features=["face"])


def test_a_misspelt_feature_is_no_empty_copy(source: FeatureStore, target: FeatureStore) -> None:
    with pytest.raises(NotPublished, match=r"no result of 'face' .did you mean 'faces'"):
        copy(source, target, features=["face"])
    assert not target.corpora()


def test_clips_that_another_store_knows_otherwise_are_named(
    source: FeatureStore, target: FeatureStore
) -> None:
    assert copy(source, target).changed == []
    assert copy(source, target).changed == []
    target.upsert_clips("c", clip_table("a", media_key=["another"], sha256=["other"]))
    assert copy(source, target).changed == [("c", "a")]
    assert target.clip("a")["media_key"] == source.clip("a")["media_key"]
