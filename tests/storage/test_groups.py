"""Reading groups of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from store_kit import FACES, WHOLE, make_rows, new_store

from features.spec import FeatureSpec
from flows.export import export
from storage import FeatureStore
from storage.errors import UnknownGroup

GROUPED = FeatureSpec(
    "grouped",
    "frame",
    (5,),
    "float32",
    columns=("a", "b0", "b1", "c0", "c1"),
    groups=(("b", 1, 3), ("c", 3, 5)),
)


def test_a_group_is_read_by_its_name(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(GROUPED, 37)
    store.publish("a", GROUPED, rows)
    read = FeatureStore.open(tmp_path / "s").read("a", "grouped.b", 5, 20)
    np.testing.assert_array_equal(read.values, rows.values[5:20, 1:3])
    np.testing.assert_array_equal(read.valid, rows.valid[5:20])


def test_groups_are_kept_with_the_part_and_with_the_extractor(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    for rows in (make_rows(GROUPED, 3), GROUPED.empty()):
        published = store.publish("a", GROUPED, rows)
        assert FeatureStore.open(tmp_path / "s").spec(published) == GROUPED


def test_an_unknown_group_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    named = FeatureSpec("named", "frame", (2,), "float32", groups=(("pose", 0, 1), ("gaze", 1, 2)))
    store.publish("a", named, make_rows(named, 3))
    store.publish("a", FACES, make_rows(FACES, 3))
    with pytest.raises(UnknownGroup, match=r"'poes' \(did you mean 'pose'.*pose, gaze"):
        store.read("a", "named.poes")
    with pytest.raises(UnknownGroup, match="it has: none"):
        store.read("a", "faces.boxes")


def test_labels_keep_the_dot_in_their_name(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    label = FeatureSpec("label.valence", "frame", (), "float32")
    rows = make_rows(label, 3)
    store.publish("a", label, rows)
    np.testing.assert_array_equal(store.read("a", "label.valence").values, rows.values)


def test_a_group_is_exported_with_its_column_names(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    rows = make_rows(GROUPED, 4)
    store.publish("a", GROUPED, rows)
    store.publish("b", WHOLE, make_rows(WHOLE, 1))
    export(store, "grouped.c", tmp_path / "c.parquet")
    table = pq.read_table(tmp_path / "c.parquet")
    assert table.column_names[-2:] == ["c0", "c1"]
    np.testing.assert_array_equal(table["c0"].to_numpy(), rows.values[:, 3])
