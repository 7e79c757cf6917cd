"""What takes space, and what would give it back."""

from __future__ import annotations

from pathlib import Path

from storage import FeatureStore
from storage.compact import compact
from storage.tags import set_tag
from storage.usage import Use, usage
from tests.storage.store_kit import CROP, FACES, configure, new_store, node
from tests.storage.upkeep_kit import NODES, publish_together

OTHER = node(FACES, version=2)


def store_at(root: Path) -> FeatureStore:
    store = new_store(root)
    configure(store, NODES["faces"], NODES["crop"])
    publish_together(store, FACES, ("a", "b"))
    publish_together(store, CROP, ("a", "b"))
    return store


def named(uses: tuple[Use, ...]) -> dict[str, Use]:
    return {use.name: use for use in uses}


def test_bytes_are_those_of_the_files_on_disk(tmp_path: Path) -> None:
    store = store_at(tmp_path / "store")
    found = usage(store)
    files = [p for p in (store.location.path / "parts" / "faces").rglob("*") if p.is_file()]
    faces = named(found.features)["faces"]
    assert (faces.bytes, faces.objects, faces.parts) == (
        sum(p.stat().st_size for p in files),
        len(files),
        1,
    )
    everything = [p for p in store.location.path.rglob("*") if p.is_file()]
    assert found.bytes == sum(p.stat().st_size for p in everything if p.name != "store.json")


def test_a_variant_counts_what_it_shares_and_what_is_its_own(tmp_path: Path) -> None:
    store = store_at(tmp_path / "store")
    configure(store, OTHER, NODES["crop"], name="other")
    publish_together(store, FACES, ("a", "b"), made_by=OTHER, seed=1)
    found = usage(store)
    variants, features = named(found.variants), named(found.features)
    assert (variants["default"].parts, variants["other"].parts) == (2, 2)
    assert variants["default"].only + variants["other"].only == features["faces"].bytes
    assert features["faces"].only == 0


def test_superseded_parts_are_told_apart(tmp_path: Path) -> None:
    store = store_at(tmp_path / "store")
    configure(store, OTHER, NODES["crop"])
    publish_together(store, FACES, ("a", "b"), made_by=OTHER, seed=1)
    faces = named(usage(store).features)["faces"]
    assert 0 < faces.only < faces.bytes


def test_a_tag_alone_holds_what_compact_left_behind(tmp_path: Path) -> None:
    store = store_at(tmp_path / "store")
    set_tag(store.location, "paper", store.versions)
    assert named(usage(store).tags)["paper"].only == 0
    publish_together(store, CROP, ("a",), seed=1)
    compact(store)
    found = usage(store)
    paper = named(found.tags)["paper"]
    assert paper.parts == 2
    assert 0 < paper.only < paper.bytes
    assert found.unnamed.parts == 0


def test_a_part_that_nobody_names_is_counted_apart(tmp_path: Path) -> None:
    store = store_at(tmp_path / "store")
    with store.writer(CROP) as writer:
        writer.begin()
        writer.append(CROP.invalid(3))
        writer.finish()
    assert usage(store).unnamed.parts == 1


def test_many_configurations_and_tags_are_told_apart(tmp_path: Path) -> None:
    store = store_at(tmp_path / "store")
    for number in range(3, 9):
        version = node(FACES, version=number)
        configure(store, version, NODES["crop"], name=f"run:{number}")
        publish_together(store, FACES, ("a", "b"), made_by=version, seed=number)
        for tag in range(2):
            set_tag(store.location, f"tag-{number}-{tag}", store.versions)
    found = usage(store)
    variants, tags = named(found.variants), named(found.tags)
    crop = named(found.features)["crop"].bytes
    assert {use.parts for use in variants.values()} == {2}
    assert sum(use.only for use in variants.values()) == named(found.features)["faces"].bytes
    assert [tags[f"tag-{n}-0"].parts for n in range(3, 9)] == [3, 4, 5, 6, 7, 8]
    assert all(use.bytes > crop for use in variants.values())
