"""face_224: the square round the main face's box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from features.errors import RequestError
from features.face_224 import Face224, square_round
from features.face_track import FaceTrack
from features.spec import Rows
from tests.features.face_frames import batch_of, portrait_frames
from tests.features.face_goldens import FRAMES, golden_path, golden_track, load_crops


def made(**params: object) -> Face224:
    extractor = Face224(Face224.Params(**params))  # type: ignore[arg-type]
    extractor.setup("cpu")
    return extractor


def box(*values: float) -> Rows:
    row = np.zeros((1, 15), np.float32)
    row[0, :4] = values
    return Rows(row, np.array([True]))


def test_the_golden_frames_give_the_golden_crops() -> None:
    path = golden_path(Face224, "png")
    crops = made().extract(batch_of(portrait_frames(FRAMES), box=golden_track()))
    difference = np.abs(crops.values.astype(int) - load_crops(path))
    # vector units may round a bicubic sum the other way
    assert difference.max() <= 1, f"{path.name} differs: bump the version and make it anew"
    assert crops.valid.all()


def test_a_square_of_224_pixels_is_cut_out_untouched() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 300, 400, 3), np.uint8)
    # the longer side counts, the centre stays: 100 wide and 224 high from y = 30
    crop = made().extract(batch_of(frame, box=box(150, 30, 250, 254)))
    assert np.array_equal(crop.values[0], frame[0, 30:254, 88:312])


def test_the_margin_moves_every_side_out_by_its_share_of_the_square() -> None:
    boxes = np.array([[100.0, 100, 140, 180]])
    assert square_round(boxes, 0.0).tolist() == [[80, 100, 80]]
    assert square_round(boxes, 0.25).tolist() == [[60, 80, 120]]


def test_a_larger_square_is_scaled_by_area_averages() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 448, 448, 3), np.uint8)
    crop = made().extract(batch_of(frame, box=box(0, 0, 448, 448))).values[0]
    means = frame[0].reshape(224, 2, 224, 2, 3).mean((1, 3))
    assert np.abs(crop - means).max() <= 0.5


def test_a_smaller_square_is_scaled_bicubically() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), np.uint8)
    crop = made().extract(batch_of(frame, box=box(0, 0, 112, 112))).values[0]
    assert np.array_equal(crop, cv2.resize(frame[0], (224, 224), interpolation=cv2.INTER_CUBIC))


def test_what_lies_outside_the_frame_is_black() -> None:
    frame = np.full((1, 100, 100, 3), 255, np.uint8)
    crop = made().extract(batch_of(frame, box=box(-112, -112, 112, 112)))
    assert (crop.values[0, :112] == 0).all()
    assert (crop.values[0, :, :112] == 0).all()
    assert (crop.values[0, 112:212, 112:212] == 255).all()
    assert (crop.values[0, 212:] == 0).all()
    assert crop.valid.all()


def test_a_frame_without_a_face_is_black_and_invalid() -> None:
    track = golden_track()
    track.values[1], track.valid[1] = np.nan, False
    crops = made().extract(batch_of(portrait_frames(FRAMES), box=track))
    assert crops.valid.tolist() == [True, False, True, True, True, True]
    assert (crops.values[1] == 0).all()


@pytest.mark.parametrize("values", [(50, 50, 50, 90), (60, 50, 50, 90), (np.nan, 0, 9, 9)])
def test_a_box_without_area_is_no_face(values: tuple[float, ...]) -> None:
    crops = made().extract(batch_of(portrait_frames(1), box=box(*values)))
    assert not crops.valid.any()
    assert (crops.values == 0).all()


@pytest.mark.parametrize("values", [(0, 0, 9e5, 9e5), (-4e9, 3, 4e9, 9), (1e30, 0, 3e30, 9)])
def test_a_box_of_many_times_the_picture_is_no_face(values: tuple[float, ...]) -> None:
    crops = made().extract(batch_of(portrait_frames(1), box=box(*values)))
    assert not crops.valid.any()
    assert not crops.values.any()
    assert made().extract(batch_of(portrait_frames(1), box=box(0, 0, 1280, 1280))).valid.all()


def test_no_frames_give_no_rows() -> None:
    none = batch_of(np.zeros((0, 90, 120, 3), np.uint8), box=FaceTrack.outputs[0].empty())
    assert made().extract(none).values.shape == (0, 224, 224, 3)


def test_rows_without_boxes_are_refused_with_what_to_bind() -> None:
    landmarks = Rows(np.zeros((1, 68, 2), np.float32), np.array([True]))
    with pytest.raises(RequestError, match=r"bind face_224\.box to face_track"):
        made().extract(batch_of(portrait_frames(1), box=landmarks))
