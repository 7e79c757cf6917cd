"""Alignment: the least-squares similarity transform, and the warped crop."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.transform import SimilarityTransform

from features.align import (
    ARCFACE_112,
    SPHEREFACE_112X96,
    aligned_crops,
    five_points,
    similarity,
)
from features.errors import RequestError


def noisy_faces(count: int) -> NDArray[np.float64]:
    """Templates turned, scaled, moved and disturbed."""
    rng = np.random.default_rng(2)
    angle, scale = rng.uniform(-3, 3, count), rng.uniform(0.2, 5, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1)
    points = np.einsum("nij,kj->nki", turn.reshape(-1, 2, 2) * scale[:, None, None], ARCFACE_112)
    return points + rng.uniform(-500, 500, (count, 1, 2)) + rng.normal(0, 3, points.shape)


def test_transforms_equal_scikit_images_least_squares() -> None:
    points = noisy_faces(40)
    for matrix, face in zip(similarity(points, ARCFACE_112), points, strict=True):
        expected = SimilarityTransform.from_estimate(face, ARCFACE_112)
        np.testing.assert_allclose(matrix, expected.params[:2], rtol=1e-9, atol=1e-9)


def test_no_transform_mirrors_even_where_the_points_are_mirrored() -> None:
    mirrored = ARCFACE_112 * [-1, 1]
    matrix = similarity(mirrored[None], ARCFACE_112)[0]
    assert np.linalg.det(matrix[:, :2]) > 0


def test_points_on_the_template_stay_where_they_are() -> None:
    matrix = similarity(SPHEREFACE_112X96[None], SPHEREFACE_112X96)[0]
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_five_times_the_same_point_has_no_transform() -> None:
    assert np.isnan(similarity(np.full((1, 5, 2), 7.0), ARCFACE_112)).all()


def test_five_points_come_from_detections() -> None:
    rows = np.arange(30, dtype=np.float32).reshape(2, 15)
    assert five_points(rows)[1].tolist() == [[20, 21], [22, 23], [24, 25], [26, 27], [28, 29]]


def test_five_points_come_from_68_landmarks() -> None:
    rows = np.stack([np.arange(68.0), 2 * np.arange(68.0)], 1)[None].astype(np.float32)
    assert five_points(rows)[0].tolist() == [[38.5, 77], [44.5, 89], [30, 60], [48, 96], [54, 108]]


def test_rows_of_another_shape_are_refused_with_what_to_bind() -> None:
    with pytest.raises(RequestError, match="bind the slot to face_track"):
        five_points(np.zeros((3, 168), np.float32))


def test_a_crop_shows_the_frames_own_pixels_where_nothing_is_turned_or_scaled() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 150, 160, 3), np.uint8)
    points = ARCFACE_112[None] + [20.0, 10.0]
    crops, valid = aligned_crops(frame, points, np.array([True]), ARCFACE_112, 112, 112)
    assert valid.all()
    assert np.array_equal(crops[0], frame[0, 10:122, 20:132])


def test_what_lies_outside_the_frame_is_black() -> None:
    frame = np.full((1, 100, 100, 3), 200, np.uint8)
    points = SPHEREFACE_112X96[None] - [40.0, 0.0]
    crops, _ = aligned_crops(frame, points, np.array([True]), SPHEREFACE_112X96, 112, 96)
    assert crops.shape == (1, 112, 96, 3)
    assert (crops[0, :, :39] == 0).all()
    assert (crops[0, :99, 41:] == 200).all()
