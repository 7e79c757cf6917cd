"""A whole corpus as one lazy array, and as labelled datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_kit import (
    CROP,
    FACES,
    POINTS,
    SEGMENT,
    SOUND,
    TIMELINE,
    WHOLE,
    clip_table,
    make_rows,
    new_store,
)

import storage.array
from features.spec import FeatureSpec, Rows
from storage import FeatureStore, NotPublished, StoreError

LENGTHS = {"a": 21, "b": 40, "c": 3}


def corpus(root: Path, *specs: FeatureSpec) -> tuple[FeatureStore, dict[tuple[str, str], Rows]]:
    """Three clips, published in another order than theirs."""
    store = new_store(root, tuple(LENGTHS))
    made: dict[tuple[str, str], Rows] = {}
    for clip in "cab":
        for spec in specs:
            rows = LENGTHS[clip]
            if spec.rate == "clip":
                rows = 1
            elif spec.rate == "sample":
                rows *= 6_000
            made[clip, spec.name] = make_rows(spec, rows, seed=ord(clip))
            store.publish(clip, spec, made[clip, spec.name])
    return store, made


@pytest.mark.parametrize("chunk", [storage.array.CHUNK_BYTES, 200, 1])
@pytest.mark.parametrize("spec", [FACES, CROP, POINTS, SEGMENT, WHOLE], ids=lambda s: s.name)
def test_a_corpus_is_one_array_in_order_of_clip(
    tmp_path: Path, spec: FeatureSpec, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.array, "CHUNK_BYTES", chunk)
    store, made = corpus(tmp_path / "s", spec)
    array = store.array(spec.name)
    want = Rows.concat([made[clip, spec.name] for clip in "abc"])
    np.testing.assert_array_equal(array.compute(), want.values)
    np.testing.assert_array_equal(array.valid.compute(), want.valid)
    assert (array.shape, array.dtype, len(array)) == (
        want.values.shape,
        want.values.dtype,
        len(want),
    )
    assert array.clips["clip"].to_pylist() == ["a", "b", "c"]
    for row in array.clips.to_pylist():
        own = made[row["clip"], spec.name]
        assert row["row_stop"] - row["row_start"] == own.rows
        assert (row["t0"], row["step"]) == (own.t0, own.step)
    if spec.ragged:
        np.testing.assert_array_equal(array.offsets, want.offsets)
        assert array.clips["item_stop"].to_pylist()[-1] == len(want.values)


@pytest.mark.parametrize("chunk", [storage.array.CHUNK_BYTES, 1])
def test_waveforms_keep_one_flag_per_block_of_a_clip(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.array, "CHUNK_BYTES", chunk)
    store, made = corpus(tmp_path / "s", SOUND)
    array, flags = store.array("sound"), store.array("sound").valid.compute()
    values = array.compute()
    for row in array.clips.to_pylist():
        own = made[row["clip"], "sound"]
        np.testing.assert_array_equal(values[row["row_start"] : row["row_stop"]], own.values)
        np.testing.assert_array_equal(flags[row["flag_start"] : row["flag_stop"]], own.valid)


def test_small_clips_share_chunks_and_large_ones_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = corpus(tmp_path / "s", FACES)
    assert store.array("faces").values.npartitions == 1
    monkeypatch.setattr(storage.array, "CHUNK_BYTES", 10 * FACES.row_bytes)
    assert store.array("faces").values.chunks[0] == (10, 10, 1, 10, 10, 10, 10, 3)


def test_an_array_holds_one_corpus_and_split_and_the_clips_that_have_it(tmp_path: Path) -> None:
    store, made = corpus(tmp_path / "s", FACES)
    splits = ["train", "test", "train"]
    store.upsert_clips("c", clip_table("a", "b", "c", split=splits))
    store.upsert_clips("d", clip_table("b", "y", split=["train", "train"]))
    store.publish("b", FACES, make_rows(FACES, 2), corpus="d")
    assert store.array("faces").clips["clip"].to_pylist() == ["a", "b", "c", "b"]
    both = store.array("faces", split="train").clips
    assert both["corpus"].to_pylist() == ["c", "c", "d"]
    array = store.array("faces", "c", "train")
    assert array.clips["clip"].to_pylist() == ["a", "c"]
    want = np.concatenate([made[clip, "faces"].values for clip in "ac"])
    np.testing.assert_array_equal(array.compute(), want)


def test_an_array_of_what_nobody_has_is_an_error(tmp_path: Path) -> None:
    store, _ = corpus(tmp_path / "s", FACES)
    with pytest.raises(NotPublished):
        store.array("crop")
    with pytest.raises(NotPublished):
        store.array("faces", split="no such split")


@pytest.mark.parametrize("clip", [None, "a"])
def test_a_dataset_of_no_feature_is_refused(tmp_path: Path, clip: str | None) -> None:
    store, _ = corpus(tmp_path / "s", FACES)
    with pytest.raises(ValueError, match="to_xarray needs features: name one"):
        store.to_xarray(clip)


def test_a_clip_s_features_are_labelled(tmp_path: Path) -> None:
    store, made = corpus(tmp_path / "s", FACES, CROP, SEGMENT, WHOLE, POINTS, SOUND, TIMELINE)
    names = ["faces", "crop", "segment", "whole", "points", "sound"]
    data = store.to_xarray("a", names)
    assert data["faces"].dims == ("time", "faces_dim")
    assert data["crop"].dims == ("time", "crop_dim1", "crop_dim2")
    assert data["faces_dim"].values.tolist() == ["x", "y", "score"]
    assert data["faces"].attrs["units"] == "pixel"
    np.testing.assert_array_equal(data["time"].values, made["a", "timeline"].values)
    np.testing.assert_array_equal(data["segment_time"].values, 0.25 + 0.5 * np.arange(21))
    times = 0.25 + np.arange(126_000) / 16_000
    np.testing.assert_allclose(data["sample_time"].values, times, rtol=1e-15)
    for name in names[:4]:
        np.testing.assert_array_equal(
            data[name].values.reshape(made["a", name].values.shape), made["a", name].values
        )
        np.testing.assert_array_equal(
            data[f"{name}_valid"].values.reshape(-1), made["a", name].valid
        )
    counts = np.bincount(data["points_row"].values, minlength=21)
    np.testing.assert_array_equal(counts, np.diff(made["a", "points"].offsets))
    assert data["sound_valid"].sizes == {"sample": 126_000}


def test_frame_features_without_a_timeline_have_no_times(tmp_path: Path) -> None:
    store, _ = corpus(tmp_path / "s", FACES)
    data = store.to_xarray("a", ["faces"])
    assert data["faces"].dims == ("time", "faces_dim")
    assert "time" not in data.coords


def test_rows_that_do_not_fit_the_timeline_are_refused(tmp_path: Path) -> None:
    store, _ = corpus(tmp_path / "s", FACES, TIMELINE)
    store.publish("a", FACES, make_rows(FACES, 20))
    with pytest.raises(StoreError, match="a: faces has 20 rows and timeline 21"):
        store.to_xarray("a", ["faces"])


def test_a_corpus_is_labelled_with_its_clips(tmp_path: Path) -> None:
    store, made = corpus(tmp_path / "s", FACES, CROP, WHOLE, SOUND)
    data = store.to_xarray(features=["faces", "crop", "whole", "sound"], corpus="c")
    owners = np.repeat(["a", "b", "c"], [21, 40, 3])
    np.testing.assert_array_equal(data["time_clip"].values, owners)
    assert data["clip"].values.tolist() == ["a", "b", "c"]
    one = data["faces"].values[data["time_clip"].values == "b"]
    np.testing.assert_array_equal(one, made["b", "faces"].values)
    flags = data["sound_valid"].values[data["sound_sample_clip"].values == "b"]
    want = np.repeat(made["b", "sound"].valid, SOUND.block)[: 40 * 6_000]
    np.testing.assert_array_equal(flags, want)


def test_a_labelled_corpus_has_the_clips_that_have_all_features(tmp_path: Path) -> None:
    store, _ = corpus(tmp_path / "s", FACES)
    store.publish("b", CROP, make_rows(CROP, 40))
    data = store.to_xarray(features=["faces", "crop"])
    assert set(data["time_clip"].values) == {"b"}


def test_ragged_features_of_a_corpus_are_sent_to_the_array(tmp_path: Path) -> None:
    store, _ = corpus(tmp_path / "s", POINTS)
    with pytest.raises(StoreError, match=r"ragged: use store.array\('points'\)"):
        store.to_xarray(features=["points"])
