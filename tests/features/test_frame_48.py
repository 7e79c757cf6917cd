"""frame_48: the whole picture of each frame."""

from __future__ import annotations

import cv2
import numpy as np

from features.frame_48 import Frame48
from tests.features.face_frames import batch_of, portrait_frames
from tests.features.face_goldens import golden_path


def made() -> Frame48:
    extractor = Frame48(Frame48.Params())
    extractor.setup("cpu")
    return extractor


def test_the_golden_frames_give_the_golden_pictures() -> None:
    path = golden_path(Frame48, "png")
    picture = cv2.imread(str(path))
    assert picture is not None
    rows = made().extract(batch_of(portrait_frames(2)))
    difference = np.abs(rows.values.astype(int) - picture[..., ::-1].reshape(rows.values.shape))
    assert difference.max() <= 1, f"{path.name} differs: bump the version and make it anew"


def test_pictures_of_48_px_stay_as_they_are() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    rows = made().extract(batch_of(frames))
    np.testing.assert_array_equal(rows.values, frames)
    assert rows.valid.all()


def test_larger_pictures_become_means_of_areas_and_smaller_ones_are_spread() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 96, 144, 3), dtype=np.uint8)
    means = frames[0].reshape(48, 2, 48, 3, 3).mean((1, 3))
    assert np.abs(made().extract(batch_of(frames)).values[0] - means).max() <= 1
    small = np.full((2, 20, 90, 3), 7, np.uint8)
    assert (made().extract(batch_of(small)).values == 7).all()


def test_no_frames_give_no_rows() -> None:
    rows = made().extract(batch_of(np.zeros((0, 9, 9, 3), np.uint8)))
    assert rows.values.shape == (0, 48, 48, 3)
