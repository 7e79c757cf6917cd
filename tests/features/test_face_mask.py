"""face_mask: the aligned face's landmarks as lines."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from features.align import ARCFACE_112, five_points, similarity
from features.errors import RequestError
from features.extractor import Batch
from features.face_mask import FaceMask, draw
from features.landmarks_68 import Landmarks68
from features.spec import Rows
from tests.features.face_frames import NO_MEDIA
from tests.features.face_goldens import golden_path
from tests.features.mesh_goldens import FRAMES, golden_landmarks


def masks_of(landmarks: Rows, points: Rows | None = None) -> Rows:
    extractor = FaceMask(FaceMask.Params())
    extractor.setup("cpu")
    inputs = {"landmarks": landmarks, "points": landmarks if points is None else points}
    return extractor.extract(Batch(NO_MEDIA, inputs=inputs))


def spread() -> Any:
    """68 landmarks of a 112-px mask, no part on another."""
    made = np.zeros((68, 2))
    for start, stop, top in ((48, 60, 5), (17, 22, 20), (22, 27, 35), (36, 42, 50), (42, 48, 65)):
        made[start:stop, 0] = 10 + 6 * np.arange(stop - start)
        made[start:stop, 1] = top + 3 * (np.arange(stop - start) % 2)
    made[28:31] = [(10, 80), (20, 80), (30, 80)]
    made[6:11] = [(10, 95), (20, 95), (30, 95), (40, 95), (50, 95)]
    return made


def test_the_golden_landmarks_give_the_golden_masks() -> None:
    path = golden_path(FaceMask, "png")
    kept = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert kept is not None
    masks = masks_of(golden_landmarks()).values
    same = (masks == kept.reshape(masks.shape)).mean()
    # a landmark on the border of two pixels may fall on either
    assert same > 0.999, f"{path.name} differs: bump the version and make it anew"


def test_each_part_has_its_grey_and_there_are_no_others() -> None:
    mask = np.zeros((112, 112), np.uint8)
    draw(mask, spread())
    assert np.unique(mask).tolist() == [0, 31, 63, 127, 159, 191, 223, 255]
    for landmark, grey in ((48, 255), (59, 255), (17, 223), (26, 191), (36, 159), (47, 127)):
        x, y = spread()[landmark].astype(int)
        assert mask[y, x] == grey
    assert (mask[80, 10:31] == 63).all()
    assert (mask[95, 10:51] == 31).all()
    assert mask[95, 51] == mask[80, 9] == 0


def test_mouth_and_eyes_are_closed_and_brows_are_not() -> None:
    def of(first: int, last: int) -> Any:
        points = np.full((68, 2), -50.0)
        points[first : last + 1] = [
            (10 + 60 * (i % 2), 20 + 4 * i) for i in range(last - first + 1)
        ]
        mask = np.zeros((112, 112), np.uint8)
        draw(mask, points)
        return mask, points

    for first, last, closed in ((48, 59, True), (36, 41, True), (17, 21, False), (6, 10, False)):
        mask, points = of(first, last)
        shut = np.zeros_like(mask)
        cv2.polylines(shut, [points[first : last + 1].astype(np.int32)], True, 1)
        assert ((shut > 0) <= (mask > 0)).all() == closed


def test_coordinates_are_rounded_and_not_cut() -> None:
    points = np.full((68, 2), -50.0)
    points[28:31] = [(10.6, 20.6), (10.6, 20.6), (10.6, 20.6)]
    mask = np.zeros((112, 112), np.uint8)
    draw(mask, points)
    assert mask[21, 11] == 63
    assert (mask > 0).sum() == 1


def test_landmarks_are_drawn_where_the_alignment_puts_them() -> None:
    landmarks = golden_landmarks().slice(0, 1)
    found = landmarks.values.astype(np.float64)
    matrix = similarity(five_points(found), ARCFACE_112)[0]
    expected = np.zeros((112, 112), np.uint8)
    draw(expected, found[0] @ matrix[:, :2].T + matrix[:, 2])
    assert np.array_equal(masks_of(landmarks).values[0], expected)


def test_other_points_move_the_mask_as_they_move_the_crop() -> None:
    landmarks = golden_landmarks().slice(0, 1)
    row = np.zeros((1, 15), np.float32)
    row[0, 5:] = ARCFACE_112.reshape(-1)
    inside = Rows(landmarks.values - landmarks.values.min((0, 1)) + 5, landmarks.valid)
    expected = np.zeros((112, 112), np.uint8)
    draw(expected, inside.values[0].astype(np.float64))
    untouched = masks_of(inside, Rows(row, np.array([True]))).values[0]
    assert (untouched != expected).mean() < 1e-3


def test_a_row_without_landmarks_or_points_is_black_and_invalid() -> None:
    landmarks = golden_landmarks()
    landmarks.values[1], landmarks.valid[1] = np.nan, False
    masks = masks_of(landmarks)
    assert masks.valid.tolist() == [True, False]
    assert (masks.values[1] == 0).all()
    assert not masks_of(
        golden_landmarks(), Rows(landmarks.values, np.zeros(FRAMES, bool))
    ).valid.any()


def test_no_rows_give_no_rows() -> None:
    masks = masks_of(Landmarks68.outputs[0].empty(t0=2.5))
    assert masks.values.shape == (0, 112, 112)
    assert masks.t0 == 2.5


def test_rows_of_another_kind_are_refused_with_what_to_bind() -> None:
    with pytest.raises(RequestError, match=r"bind face_mask\.landmarks to landmarks_68"):
        masks_of(Rows(np.zeros((1, 15), np.float32), np.array([True])))
