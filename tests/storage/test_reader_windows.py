"""Windows: many short runs of rows at once are the rows that a plain read gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_kit import FRAME, IMAGE, RAGGED, WAVE, make_rows, values_file, write

from features.spec import FeatureSpec
from storage.errors import DamagedPart
from storage.location import Location
from storage.reader import Mode
from storage.windows import FeatureWindows

LENGTHS = (40, 0, 16, 90)
POSE = FeatureSpec("pose", "frame", (6,), "float64")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Location:
    return Location.parse(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("max_bytes", [20_000, 256 << 20])
@pytest.mark.parametrize("mode", ["preadv", "mmap"])
@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_windows_are_the_clips_rows(codec: str, mode: Mode, max_bytes: int, tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rng = np.random.default_rng(5)
    chosen = rng.choice([0, 2, 3], 50)
    starts = np.array([rng.integers(0, LENGTHS[c] - 14) for c in chosen])
    for spec in (FRAME, POSE):
        clips = [make_rows(spec, n, seed) for seed, n in enumerate(LENGTHS)]
        stored, _ = write(location, spec, clips, codec=codec, max_bytes=max_bytes)
        windows = FeatureWindows(location, spec.name, [c.pieces for c in stored], mode)
        wanted = [clips[c].values[s : s + 15] for c, s in zip(chosen, starts, strict=True)]
        np.testing.assert_array_equal(windows.read(chosen, starts, 15), np.stack(wanted))


def test_windows_come_from_an_object_store_too(s3: Location) -> None:
    rows = make_rows(FRAME, 50)
    stored, _ = write(s3, FRAME, [rows])
    windows = FeatureWindows(s3, "audio", [stored[0].pieces])
    found = windows.read(np.array([0, 0]), np.array([3, 35]), 15)
    np.testing.assert_array_equal(found, np.stack([rows.values[3:18], rows.values[35:50]]))


def test_windows_of_samples_start_anywhere(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(WAVE, 200_000)
    stored, _ = write(location, WAVE, [make_rows(WAVE, 10), rows])
    windows = FeatureWindows(location, "wave", [c.pieces for c in stored])
    starts = np.array([0, 65_530, 131_000, 160_000])
    ones = np.ones(4, int)
    found = windows.read(ones, starts, 40_000)
    np.testing.assert_array_equal(found, np.stack([rows.values[s : s + 40_000] for s in starts]))


def test_windows_fill_the_callers_array(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    rows = make_rows(IMAGE, 6)
    stored, _ = write(location, IMAGE, [rows])
    windows = FeatureWindows(location, "face", [stored[0].pieces])
    out = np.zeros((2, 3, 112, 112, 3), np.uint8)
    assert windows.read(np.array([0, 0]), np.array([0, 3]), 3, out=out) is out
    np.testing.assert_array_equal(out.reshape(rows.values.shape), rows.values)
    with pytest.raises(ValueError, match="out must be uint8 of shape"):
        windows.read(np.array([0]), np.array([0]), 3, out=out)


@pytest.mark.parametrize("start", [-1, 26, 400])
def test_a_window_outside_its_clip_is_refused(tmp_path: Path, start: int) -> None:
    location = Location.parse(tmp_path)
    stored, _ = write(location, FRAME, [make_rows(FRAME, 40), make_rows(FRAME, 40)])
    windows = FeatureWindows(location, "audio", [c.pieces for c in stored])
    with pytest.raises(IndexError, match="outside clip 1, which has 40 rows"):
        windows.read(np.array([0, 1]), np.array([0, start]), 15)


def test_ragged_features_have_no_windows(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, _ = write(location, RAGGED, [make_rows(RAGGED, 40)])
    with pytest.raises(ValueError, match="faces is ragged"):
        FeatureWindows(location, "faces", [stored[0].pieces])
    with pytest.raises(ValueError, match="no clip has rows"):
        FeatureWindows(location, "faces", [()])


@pytest.mark.parametrize("mode", ["preadv", "mmap"])
def test_a_short_file_is_damage(tmp_path: Path, mode: Mode) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 40)])
    windows = FeatureWindows(location, "audio", [stored[0].pieces], mode)
    os.truncate(values_file(location, FRAME, part), 5_000)
    with pytest.raises(DamagedPart, match=f"part {part} of audio is damaged"):
        windows.read(np.array([0]), np.array([20]), 15)


def test_a_file_cut_off_while_open_is_damage(tmp_path: Path) -> None:
    location = Location.parse(tmp_path)
    stored, (part,) = write(location, FRAME, [make_rows(FRAME, 40)])
    windows = FeatureWindows(location, "audio", [stored[0].pieces])
    windows.read(np.array([0]), np.array([20]), 15)
    os.truncate(values_file(location, FRAME, part), 15_000)
    with pytest.raises(DamagedPart, match="bytes too early"):
        windows.read(np.array([0]), np.array([20]), 15)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.data())
def test_any_window_of_any_corpus_is_right(
    corpus: Location, lengths: list[int], data: st.DataObject
) -> None:
    if not any(lengths):
        lengths[0] = 1
    clips = [make_rows(POSE, n, seed) for seed, n in enumerate(lengths)]
    stored, _ = write(corpus, POSE, clips, max_bytes=data.draw(st.integers(400, 6_000)))
    windows = FeatureWindows(corpus, "pose", [c.pieces for c in stored])
    length = data.draw(st.integers(0, max(lengths)))
    able = [number for number, n in enumerate(lengths) if n >= max(length, 1)]
    chosen = data.draw(st.lists(st.sampled_from(able), max_size=6))
    starts = [data.draw(st.integers(0, lengths[c] - length)) for c in chosen]
    found = windows.read(np.array(chosen, int), np.array(starts, int), length)
    assert found.shape == (len(chosen), length, 6)
    for values, clip, start in zip(found, chosen, starts, strict=True):
        np.testing.assert_array_equal(values, clips[clip].values[start : start + length])
