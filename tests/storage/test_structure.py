"""A part's metadata may be damaged in any byte: it is told, nothing crashes, repair mends it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from storage import FeatureStore
from storage.compact import compact
from storage.copy import copy
from storage.forget import forget
from storage.inventory import take_inventory
from storage.layout import METADATA, part_key
from storage.repair import repair
from storage.structure import structure_damage
from storage.verify import DAMAGED, verify
from tests.storage.store_kit import POINTS, assert_same, configure, new_store
from tests.storage.upkeep_kit import NODES, copy_of, publish_together

CLIPS = ("a", "b")
#: what a flipped byte makes of the metadata, and other damage
DAMAGES = {
    "format": (b'"format": 1', b'"format": 3'),
    "dtype": (b'"dtype": "float32"', b'"dtype": "floit32"'),
    "no number": (b'"dtype": "float32"', b'"dtype": "object"'),
    "rate": (b'"rate": "frame"', b'"rate": "frbme"'),
    "codec": (b'"codec": "raw"', b'"codec": "rav"'),
    "dims": (b'"dims": [', b'"dims": [-'),
    "rows": (b'"rows": {', b'"rowr": {'),
    "array": (b'"values": ', b'"valuds": '),
    "length": (b'"offsets": ', b'"offsets": 1e9, "x": '),
    "clips": (b'"clips": ', b'"clipr": '),
    "brace": (b"{", b"["),
    "group": (b'"node_type": "group"', b'"node_type": "grouq"'),
    "unicode": (b"zarr_format", b"zarr_\xffformat"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    store = new_store(tmp_path_factory.mktemp("made") / "store", CLIPS)
    configure(store, NODES["points"])
    publish_together(store, POINTS, CLIPS)
    return store


@pytest.fixture
def store(made: FeatureStore, tmp_path: Path) -> FeatureStore:
    return copy_of(made, tmp_path / "store")


def header_of(store: FeatureStore) -> Path:
    part = store.published()[0].pieces[0].part
    return store.location.path / part_key("points", part) / METADATA


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_metadata_is_told_and_repaired(store: FeatureStore, damage: str) -> None:
    wanted, path = store.read("a", "points"), header_of(store)
    before, after = DAMAGES[damage]
    assert before in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    fresh = FeatureStore.open(store.root)
    (problem,) = verify(fresh).problems
    assert (problem.kind, problem.feature) == (DAMAGED, "points")
    assert problem.clips == (("c", "a"), ("c", "b"))
    assert compact(fresh).after == {}
    target = FeatureStore.create(Path(store.root).with_name("copy"))
    assert len(copy(fresh, target).damaged) == (0 if damage == "codec" else 2)
    assert len(repair(fresh).withdrawn) == 2
    publish_together(fresh, POINTS, CLIPS)
    assert verify(fresh).clean
    assert_same(fresh.read("a", "points"), wanted)


@pytest.mark.parametrize("damage", ["format", "rows", "codec"])
def test_forgetting_beside_damaged_metadata_removes_what_it_cannot_tell_apart(
    store: FeatureStore, damage: str
) -> None:
    path = header_of(store)
    path.write_bytes(path.read_bytes().replace(*DAMAGES[damage], 1))
    assert len(forget(store, [("c", "b")]).damaged) == 1
    assert not take_inventory(store.location).parts
    assert {p.kind for p in verify(store).problems} == {"missing"}


def test_damaged_metadata_in_a_store_with_forgotten_clips_is_told(store: FeatureStore) -> None:
    forget(store, [("c", "b")])
    path = header_of(store)
    path.write_bytes(path.read_bytes().replace(*DAMAGES["format"], 1))
    assert [p.kind for p in verify(FeatureStore.open(store.root)).problems] == [DAMAGED]


def test_no_flipped_bit_crashes_a_check(store: FeatureStore) -> None:
    (files,) = take_inventory(store.location).parts.values()
    draw = random.Random(1)
    for name in (METADATA, f"values/{METADATA}"):
        path = store.location.path / files.key / name
        data = path.read_bytes()
        silent = 0
        for place in draw.sample(range(len(data)), 150):
            hurt = bytearray(data)
            hurt[place] ^= 1 << draw.randrange(8)
            path.write_bytes(hurt)
            if structure_damage(store.location, files) is None:
                silent += 1
                verify(FeatureStore.open(store.root, read_only=True))
        path.write_bytes(data)
        assert silent < 75, "most flips change what the metadata says"
