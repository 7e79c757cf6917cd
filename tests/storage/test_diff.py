"""A diff names exactly the clips and rows that differ, and says how much."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_kit import (
    CROP,
    FACES,
    POINTS,
    SOUND,
    WHOLE,
    clip_table,
    configure,
    make_rows,
    new_store,
    node,
    staged,
)

from features.spec import SAMPLES_PER_BLOCK, FeatureSpec, Rows
from storage import (
    DamagedPart,
    FeatureStore,
)
from storage.compare import runs
from storage.diff import diff
from storage.location import Location
from storage.part import PartWriter
from tests.storage.diff_kit import between, edited, only

DOC = Path(__file__).parents[2] / "docs" / "versions.md"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return new_store(tmp_path / "s")


def test_a_diff_names_exactly_the_changed_clips_and_frames(store: FeatureStore) -> None:
    rows = {clip: make_rows(FACES, 40, seed=i) for i, clip in enumerate("ab")}
    for clip in "ab":
        store.publish(clip, FACES, rows[clip])
    store.tag("old")
    new = edited(rows["b"], [3, 4, 17, 39], 0.5)
    store.publish("b", FACES, new)
    (found,) = diff(FeatureStore.open(store.root, at="old"), store)
    assert (found.feature, found.same, found.added, found.removed) == ("faces", 1, (), ())
    clip = only(found)
    assert (clip.corpus, clip.clip) == ("c", "b")
    brute = np.flatnonzero((rows["b"].values != new.values).any(axis=1))
    np.testing.assert_array_equal(clip.rows, brute)
    assert (found.rows_changed, found.rows_compared, found.share) == (4, 80, 0.05)
    distance = np.abs(rows["b"].values.astype(float) - new.values.astype(float))[brute]
    assert found.size.max_abs == pytest.approx(distance.max())
    assert found.size.mean_abs == pytest.approx(distance.mean())


def test_many_scattered_frames_are_all_named(store: FeatureStore) -> None:
    old = make_rows(CROP, 3000, seed=1)
    at = sorted(np.random.default_rng(0).choice(3000, 1000, replace=False).tolist())
    values = old.values.copy()
    values[at] ^= 3
    found = between(store, old, replace(old, values=values), CROP)
    np.testing.assert_array_equal(only(found).rows, at)
    assert found.size.max_abs == 3


def test_equal_content_is_not_read(store: FeatureStore) -> None:
    store.publish("a", FACES, make_rows(FACES, 9))
    store.tag("old")
    shutil.rmtree(Path(store.root) / "parts")
    (found,) = diff(FeatureStore.open(store.root, at="old"), FeatureStore.open(store.root))
    assert (found.same, found.rows_compared, found.differs) == (1, 9, False)


def test_a_changed_result_that_is_gone_is_told(store: FeatureStore) -> None:
    store.publish("a", FACES, make_rows(FACES, 9, seed=1))
    store.tag("old")
    shutil.rmtree(Path(store.root) / "parts")
    store.publish("a", FACES, make_rows(FACES, 9, seed=2))
    with pytest.raises(DamagedPart, match="verify"):
        diff(FeatureStore.open(store.root, at="old"), FeatureStore.open(store.root))


def test_only_the_changed_rows_are_read(store: FeatureStore) -> None:
    old = make_rows(FACES, 40, seed=1)
    result = store.publish("a", FACES, old)
    store.tag("old")
    store.publish("a", FACES, edited(old, [7], 2.0))
    part = Path(store.root) / "parts/faces" / f"{result.pieces[0].part}.zarr"
    (file,) = [f for f in part.rglob("*") if f.is_file() and old.values.tobytes() in f.read_bytes()]
    row = old.values[0].nbytes
    whole = bytearray(file.read_bytes())
    begin = whole.index(old.values.tobytes())
    for i in range(40):
        if i != 7:
            whole[begin + i * row : begin + (i + 1) * row] = b"\x7e" * row
    file.write_bytes(whole)
    (found,) = diff(FeatureStore.open(store.root, at="old"), FeatureStore.open(store.root))
    np.testing.assert_array_equal(only(found).rows, [7])
    assert found.size.max_abs == pytest.approx(2.0, abs=1e-4)


def test_clips_and_rows_that_come_and_go_are_counted(store: FeatureStore) -> None:
    whole = make_rows(FACES, 30)
    store.publish("a", FACES, whole.slice(0, 20))
    store.tag("old")
    store.publish("a", FACES, whole)
    store.publish("b", FACES, make_rows(FACES, 5))
    old = FeatureStore.open(store.root, at="old")
    (grown,) = diff(old, store)
    assert grown.added == (("c", "b"),)
    assert (grown.rows_added, grown.rows_removed, grown.rows_changed) == (15, 0, 0)
    assert (grown.rows_compared, only(grown).rows_added) == (20, 10)
    (shrunk,) = diff(store, old)
    assert shrunk.removed == (("c", "b"),)
    assert (shrunk.rows_added, shrunk.rows_removed, shrunk.rows_changed) == (0, 15, 0)
    assert only(shrunk).size.max_abs is None


def test_an_embedding_is_compared_by_its_direction(store: FeatureStore) -> None:
    spec = FeatureSpec("embedding", "frame", (64,), "float32")
    old = replace(make_rows(spec, 10, seed=1), valid=np.ones(10, bool))
    values = old.values.copy()
    values[2] *= 3
    values[5, :32] *= -1
    found = between(store, old, replace(old, values=values), spec)
    one, other = old.values[5].astype(float), values[5].astype(float)
    wanted = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert found.size.least_cosine == pytest.approx(wanted, abs=1e-6)
    assert found.size.cosine == pytest.approx((1 + wanted) / 2, abs=1e-6)


@pytest.mark.parametrize(("columns", "dtype"), [(63, "float32"), (64, "uint8")])
def test_what_is_no_embedding_has_no_cosine(store: FeatureStore, columns: int, dtype: str) -> None:
    spec = FeatureSpec("narrow", "frame", (columns,), dtype)
    old = make_rows(spec, 10, seed=1)
    found = between(store, old, make_rows(spec, 10, seed=2), spec)
    assert (found.size.cosine, found.size.least_cosine) == (None, None)
    assert found.rows_changed == 10


def test_rows_that_lose_their_validity_are_counted_and_not_measured(store: FeatureStore) -> None:
    old = replace(make_rows(FACES, 10), valid=np.arange(10) != 8)
    values, valid = old.values.copy(), old.valid.copy()
    values[3], valid[3] = np.nan, False
    values[4] += 1
    valid[8] = True
    clip = only(between(store, old, Rows(values, valid, old.t0), FACES))
    np.testing.assert_array_equal(clip.rows, [3, 4, 8])
    assert (clip.lost, clip.gained) == (1, 1)
    assert clip.size.entries == 6
    assert clip.size.max_abs == pytest.approx(1, abs=1e-4)


def test_rows_that_are_nan_before_and_after_are_equal(store: FeatureStore) -> None:
    old = make_rows(FACES, 10)
    values = old.values.copy()
    values[3] = np.nan
    blank = replace(old, values=values)
    found = between(store, blank, edited(blank, [5], 1.0), FACES)
    np.testing.assert_array_equal(only(found).rows, [5])


def test_ragged_frames_are_named_and_measured_where_their_counts_agree(
    store: FeatureStore,
) -> None:
    counts = np.array([2, 1, 0, 3, 1])
    offsets = np.concatenate([[0], counts.cumsum()])
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    old = Rows(values, np.ones(5, bool), offsets=offsets)
    moved = values.copy()
    moved[0] += 0.5
    # frame 0 moves, frame 2 gets an item, frame 3 loses one
    kept = np.vstack([moved[:3], [[100, 100]], moved[3:5], moved[6:]]).astype(np.float32)
    new = Rows(kept, np.ones(5, bool), offsets=np.array([0, 2, 3, 4, 6, 7]))
    found = between(store, old, new, POINTS)
    clip = only(found)
    np.testing.assert_array_equal(clip.rows, [0, 2, 3])
    assert clip.items == found.items == (5, 5)
    assert (clip.size.entries, clip.size.max_abs) == (4, 0.5)
    assert clip.size.mean_abs == 0.25
    assert (found.rows_changed, found.share) == (3, 0.6)


def test_of_a_waveform_the_changed_blocks_are_named(store: FeatureStore) -> None:
    rows = 2 * SAMPLES_PER_BLOCK + 1000
    old = make_rows(SOUND, rows)
    values = old.values.copy()
    values[SAMPLES_PER_BLOCK + 5] += 7
    values[-1] += 1
    found = between(store, old, replace(old, values=values), SOUND)
    clip = only(found)
    np.testing.assert_array_equal(clip.rows, [SAMPLES_PER_BLOCK, 2 * SAMPLES_PER_BLOCK])
    assert clip.rows_changed == SAMPLES_PER_BLOCK + 1000
    assert clip.size.max_abs == 7


def test_a_waveform_that_only_goes_on_has_added_rows_and_no_changed_ones(
    store: FeatureStore,
) -> None:
    whole = make_rows(SOUND, SAMPLES_PER_BLOCK + 1000)
    whole = replace(whole, valid=np.ones(2, bool))
    found = between(store, whole.slice(0, SAMPLES_PER_BLOCK + 400), whole, SOUND)
    assert (found.rows_added, found.rows_changed, len(only(found).rows)) == (600, 0, 0)


def test_other_shapes_change_every_row_and_are_not_measured(store: FeatureStore) -> None:
    wide = replace(WHOLE, dims=(5,))
    store.publish("a", WHOLE, make_rows(WHOLE, 1))
    store.tag("old")
    store.publish("a", wide, make_rows(wide, 1))
    (found,) = diff(FeatureStore.open(store.root, at="old"), store)
    clip = only(found)
    assert (clip.alike, clip.rows.tolist(), clip.size.max_abs) == (False, [0], None)


def test_rows_that_moved_in_time_alone_are_a_change_without_changed_rows(
    store: FeatureStore,
) -> None:
    rows = make_rows(FACES, 9)
    found = between(store, rows, replace(rows, t0=rows.t0 + 1), FACES)
    clip = only(found)
    assert clip.moved
    assert (clip.after.t0 - clip.before.t0, found.rows_changed, found.same) == (1, 0, 0)


def test_a_clip_that_lies_in_several_parts_is_compared_as_one(store: FeatureStore) -> None:
    old = make_rows(FACES, 4000, seed=1)
    new = edited(old, [0, 1999, 3999], 1.0)
    results = []
    for rows in (old, new):
        template = staged(store, "a", FACES, node(FACES), rows)
        with PartWriter(store.location, FACES, description={}, max_bytes=16_000) as writer:
            writer.begin()
            for start in range(0, 4000, 500):
                writer.append(rows.slice(start, start + 500))
            stored = writer.finish()
        assert len(stored.pieces) > 1
        results.append(replace(template, pieces=stored.pieces))
    store.commit(results[:1])
    store.tag("old")
    store.commit([replace(results[1], fingerprint="new")])
    (found,) = diff(FeatureStore.open(store.root, at="old"), store)
    np.testing.assert_array_equal(only(found).rows, [0, 1999, 3999])


def test_a_bucket_is_compared(s3: Location) -> None:
    store = FeatureStore.create(s3.url, storage_options=s3.storage_options)
    store.upsert_clips("c", clip_table("a"))
    rows = make_rows(FACES, 20)
    store.publish("a", FACES, rows)
    store.tag("old")
    store.publish("a", FACES, edited(rows, [1, 2, 11], 1.0))
    old = FeatureStore.open(s3.url, at="old", storage_options=s3.storage_options)
    (found,) = diff(old, store)
    np.testing.assert_array_equal(only(found).rows, [1, 2, 11])


def test_the_documented_python_runs(
    store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.upsert_clips("c", clip_table("clip_0001"))
    mel = FeatureSpec("mfcc_mel", "frame", (168,), "float32")
    rows = make_rows(mel, 30)
    store.publish("clip_0001", mel, rows)
    store.tag("before")
    store.publish("clip_0001", mel, edited(rows, [7, 9], 1.0))
    store.tag("after")
    configure(store, node(mel), name="small")
    blocks = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block.replace('open("S"', f"open({store.root!r}"), names)
    assert names["rows"].rows == 30
    assert capsys.readouterr().out.startswith("mfcc_mel clip_0001 [7 9] 1.0")


def test_runs_of_numbers_are_found() -> None:
    assert list(runs(np.array([3, 4, 5, 9, 11, 12]))) == [(3, 6), (9, 10), (11, 13)]
    assert list(runs(np.zeros(0, np.int64))) == []
