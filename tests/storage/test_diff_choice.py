"""Which results a diff compares: the newest or a reader's, of which features, clips and stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_kit import (
    CROP,
    FACES,
    TIMELINE,
    WHOLE,
    clip_table,
    configure,
    extracted,
    make_rows,
    new_store,
    node,
)

from storage import (
    FeatureStore,
    NotPublished,
    Published,
    UnknownCorpus,
    UnknownVariant,
)
from storage.chosen import Choice, passed_over
from storage.diff import diff
from storage.keys import media_key
from tests.storage.diff_kit import between, edited, only


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return new_store(tmp_path / "s")


def test_of_a_configuration_what_its_reader_gets_is_compared(store: FeatureStore) -> None:
    one, two = node(FACES), node(FACES, version=2)
    old, new = make_rows(FACES, 9, seed=1), make_rows(FACES, 9, seed=2)
    configure(store, one)
    extracted(store, "a", FACES, one, old)
    store.tag("one")
    extracted(store, "a", FACES, two, new)
    store.tag("both")
    configure(store, two)
    store.tag("two")

    def changed(a: str, b: str) -> int:
        stores = [FeatureStore.open(store.root, at=at) for at in (a, b)]
        return diff(*stores, variant="default")[0].rows_changed

    assert changed("one", "both") == 0
    assert changed("both", "two") == 9
    configure(store, node(FACES, version=3))
    # nothing of version 3 is published: the newest result counts
    assert changed("two", "now") == 0


def test_else_the_newest_results_are_compared_whoever_made_them(store: FeatureStore) -> None:
    configure(store, node(FACES))
    old = make_rows(FACES, 9, seed=1)
    extracted(store, "a", FACES, node(FACES), old)
    store.tag("old")
    # as extract --set does: the default configuration stays
    extracted(store, "a", FACES, node(FACES, version=2), edited(old, [6], 1.0))
    before = FeatureStore.open(store.root, at="old")
    (found,) = diff(before, store)
    np.testing.assert_array_equal(only(found).rows, [6])
    (read,) = diff(before, store, variant="default")
    assert not read.differs


def test_two_configurations_of_one_store_are_compared(store: FeatureStore) -> None:
    loose, strict = node(FACES), node(FACES, version=2)
    configure(store, loose, node(CROP, "faces"))
    configure(store, strict, node(CROP, "faces"), name="strict")
    old = make_rows(FACES, 9, seed=1)
    store.publish("a", WHOLE, make_rows(WHOLE, 1))
    extracted(store, "a", FACES, strict, edited(old, [2, 5], 1.0))
    made = extracted(store, "a", FACES, loose, old)
    extracted(store, "a", CROP, node(CROP, "faces"), make_rows(CROP, 9), reads=(made,))
    # the other clip is there under one of them, and under the other only something older
    extracted(store, "b", FACES, loose, make_rows(FACES, 9, seed=3))
    crop, faces, whole = sorted(diff(store, store, against="strict"), key=lambda f: f.feature)
    np.testing.assert_array_equal(only(faces).rows, [2, 5])
    assert (faces.added, faces.removed, faces.same) == ((), (("c", "b"),), 0)
    assert (crop.removed, crop.same) == ((("c", "a"),), 0)
    # no configuration makes it
    assert (whole.differs, whole.same) == (False, 1)
    back = {f.feature: f for f in diff(store, store, variant="strict", against="default")}
    assert back["faces"].added == (("c", "b"),)
    assert not any(f.differs for f in diff(store, store, variant="strict", against="strict"))
    with pytest.raises(UnknownVariant):
        diff(store, store, against="none")


def test_newest_results_that_no_read_gives_are_counted(store: FeatureStore) -> None:
    one, two = node(FACES), node(FACES, version=2)
    configure(store, one)
    rows = make_rows(FACES, 9, seed=1)
    for clip in "ab":
        extracted(store, clip, FACES, one, rows)
    assert passed_over(store) == {}
    # another version that changes one clip, and back
    extracted(store, "a", FACES, two, edited(rows, [4], 1.0))
    extracted(store, "b", FACES, two, rows)
    assert passed_over(store) == {"faces": 1}
    assert passed_over(store, features=["crop"]) == {}
    configure(store, two)
    assert passed_over(store) == {}


def test_what_is_chosen_of_all_clips_is_what_a_read_of_each_uses(store: FeatureStore) -> None:
    store.upsert_clips("c", clip_table("a", "b", "bare"))
    faces, crop, new = node(FACES), node(CROP, "faces"), node(FACES, version=2)
    configure(store, faces, crop, node(TIMELINE))
    made = extracted(store, "a", FACES, faces, make_rows(FACES, 9, seed=1))
    extracted(store, "a", CROP, crop, make_rows(CROP, 9), reads=(made,))
    extracted(store, "a", FACES, new, make_rows(FACES, 9, seed=2))
    extracted(store, "b", FACES, new, make_rows(FACES, 7))
    store.publish("b", WHOLE, make_rows(WHOLE, 1))
    store.upsert_clips("d", clip_table("twin", media_key=[media_key("sha-a")]))
    configure(store, new, node(CROP, "faces", version=2), name="other")
    features = ["faces", "crop", "whole"]
    for variant in ("default", "other"):
        wanted = _keys(store.select(features, variant=variant, stale="allow"))
        if variant == "default":
            assert ("d", "twin", "crop") in wanted
        found = {}
        with Choice(store, variant=variant) as choice:
            for feature in choice.features:
                for r in choice.of(feature).to_pylist():
                    hashes = r["fingerprint"].hex(), r["content"].hex()
                    found[r["corpus"], r["clip"], feature] = hashes
        assert found == wanted


def test_a_result_of_another_clip_with_the_same_media_is_compared(store: FeatureStore) -> None:
    one, two = node(FACES), node(FACES, version=2)
    configure(store, one)
    old = make_rows(FACES, 9, seed=1)
    extracted(store, "a", FACES, one, old)
    store.upsert_clips("d", clip_table("twin", media_key=[media_key("sha-a")]))
    store.tag("old")
    configure(store, two)
    extracted(store, "a", FACES, two, edited(old, [4], 1.0))
    (found,) = diff(FeatureStore.open(store.root, at="old"), store, corpus="d")
    assert (only(found).corpus, only(found).clip) == ("d", "twin")
    np.testing.assert_array_equal(only(found).rows, [4])


def test_features_and_corpora_can_be_picked(store: FeatureStore) -> None:
    store.upsert_clips("d", clip_table("x"))
    store.tag("old")
    for clip in ("a", "x"):
        store.publish(clip, FACES, make_rows(FACES, 9))
        store.publish(clip, WHOLE, make_rows(WHOLE, 1))
    old = FeatureStore.open(store.root, at="old")
    found = diff(old, store, ["whole", "faces"], "d")
    assert [(f.feature, f.added) for f in found] == [
        ("whole", (("d", "x"),)),
        ("faces", (("d", "x"),)),
    ]
    with pytest.raises(NotPublished, match="did you mean 'faces'"):
        diff(old, store, ["face"])
    with pytest.raises(UnknownCorpus, match="no corpus 'e'"):
        diff(old, store, corpus="e")
    with pytest.raises(UnknownVariant):
        diff(old, store, variant="none")


def test_features_come_in_the_order_of_the_configuration(store: FeatureStore) -> None:
    configure(store, node(TIMELINE), node(FACES), node(CROP, "faces"))
    for spec in (WHOLE, CROP, FACES, TIMELINE):
        store.publish("a", spec, make_rows(spec, 1))
    assert [f.feature for f in diff(store, store)] == ["timeline", "faces", "crop", "whole"]


def test_two_stores_are_compared(store: FeatureStore, tmp_path: Path) -> None:
    other = new_store(tmp_path / "other")
    rows = make_rows(FACES, 9)
    store.publish("a", FACES, rows)
    other.publish("a", FACES, edited(rows, [2], 1.0))
    (found,) = diff(store, other)
    np.testing.assert_array_equal(only(found).rows, [2])


def test_a_store_without_results_differs_in_nothing_from_itself(store: FeatureStore) -> None:
    assert diff(store, store) == []


def test_a_result_without_rows_is_compared(store: FeatureStore) -> None:
    found = between(store, FACES.empty(), make_rows(FACES, 4), FACES)
    assert (found.rows_added, found.rows_changed, found.share) == (4, 0, 0.0)


def _keys(results: list[Published]) -> dict[tuple[str, str, str], tuple[str, str]]:
    return {(r.corpus, r.clip, r.feature): (r.fingerprint, r.content) for r in results}
