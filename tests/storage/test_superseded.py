"""gc --superseded: what no configuration wants any more leaves the newest version; tags keep it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from storage import Configuration, FeatureStore, UnknownVariant
from storage.gc import Garbage, gc
from storage.inventory import take_inventory
from storage.verify import verify
from tests.storage.store_kit import CROP, FACES, configure, new_store, node
from tests.storage.upkeep_kit import publish_together

NONE = timedelta(0)
OLD, NEW = node(FACES), node(FACES, version=2)
CLIPS = ("a", "b")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Faces of two versions, of which the configuration wants the newer one; crops of one."""
    made = new_store(tmp_path / "store", CLIPS)
    configure(made, OLD, node(CROP))
    publish_together(made, FACES, CLIPS, made_by=OLD)
    publish_together(made, CROP, CLIPS, made_by=node(CROP))
    made.save_configuration(Configuration("default", "newer", (NEW, node(CROP))))
    return made


def publish_newer(store: FeatureStore, *clips: str) -> None:
    publish_together(store, FACES, clips, made_by=NEW, seed=1)


def collect(store: FeatureStore, keep: timedelta = NONE, dry_run: bool = False) -> Garbage:
    return gc(store, keep=keep, grace=NONE, dry_run=dry_run, superseded=True)


def held(store: FeatureStore) -> set[tuple[str, str]]:
    """(clip, extractor key) of the faces that the newest version names."""
    return {(r.clip, r.extractor_key) for r in store.published(features=["faces"])}


def parts(store: FeatureStore) -> int:
    return len(take_inventory(store.location).parts)


def test_what_another_result_replaced_is_freed(store: FeatureStore) -> None:
    publish_newer(store, *CLIPS)
    want = store.read("a", "faces").values
    told = collect(store, dry_run=True)
    assert (told.superseded, told.parts, parts(store)) == (2, [], 3)
    assert told.superseded_bytes > 0
    done = collect(store)
    assert (done.superseded, [p.feature for p in done.parts]) == (2, ["faces"])
    assert held(store) == {(clip, NEW.extractor_key) for clip in CLIPS}
    assert (store.read("a", "faces").values == want).all()
    assert len(store.published(features=["crop"])) == 2
    assert verify(store).clean
    assert collect(store).superseded == 0


def test_what_nothing_replaced_yet_stays(store: FeatureStore) -> None:
    publish_newer(store, "a")
    assert collect(store).superseded == 1
    assert held(store) == {("a", NEW.extractor_key), ("b", OLD.extractor_key)}
    assert store.rows("b", "faces", stale="allow").extractor_key == OLD.extractor_key


def test_tags_and_recent_versions_keep_theirs(store: FeatureStore) -> None:
    publish_newer(store, *CLIPS)
    assert collect(store, keep=timedelta(days=1)).superseded == 0
    store.tag("before")
    done = collect(store)
    assert (done.superseded, done.parts) == (2, [])
    assert held(FeatureStore.open(store.root, at="before")) > held(store)
    assert verify(store).clean
    store.delete_tag("before")
    assert [p.feature for p in collect(store).parts] == ["faces"]


def test_a_variant_keeps_its_results_until_it_is_deleted(store: FeatureStore) -> None:
    configure(store, OLD, node(CROP), name="small")
    publish_newer(store, *CLIPS)
    assert collect(store).superseded == 0
    assert store.rows("a", "faces", variant="small").extractor_key == OLD.extractor_key
    store.delete_configuration("small")
    assert collect(store).superseded == 2
    with pytest.raises(UnknownVariant, match="small"):
        store.read("a", "faces", variant="small")


def test_the_settings_of_a_single_run_count_for_the_days_kept(store: FeatureStore) -> None:
    configure(store, OLD, node(CROP), name="run:20260101T000000-abc")
    publish_newer(store, *CLIPS)
    assert collect(store, keep=timedelta(hours=1)).superseded == 0
    assert collect(store).superseded == 2


def test_a_feature_that_a_configuration_lacks_stays_whole(store: FeatureStore) -> None:
    configure(store, node(CROP), name="crops")
    publish_newer(store, *CLIPS)
    assert collect(store).superseded == 0


@pytest.mark.parametrize("name", ["default", "smal"])
def test_only_variants_that_are_there_can_be_deleted(store: FeatureStore, name: str) -> None:
    configure(store, OLD, name="small")
    with pytest.raises(UnknownVariant, match="small"):
        store.delete_configuration(name)
    assert store.configuration(name if name == "default" else "small") is not None
