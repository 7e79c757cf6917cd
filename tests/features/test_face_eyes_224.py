"""face_eyes_224: the outer eye corners at fixed places."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from features.errors import RequestError
from features.face_eyes_224 import EYE_CORNERS_224, FaceEyes224
from features.landmarks_68 import Landmarks68
from features.spec import Rows
from tests.features.face_frames import batch_of, portrait_frames
from tests.features.face_goldens import golden_path
from tests.features.mesh_goldens import FRAMES, golden_landmarks


def made() -> FaceEyes224:
    extractor = FaceEyes224(FaceEyes224.Params())
    extractor.setup("cpu")
    return extractor


def test_the_golden_frames_give_the_golden_crops() -> None:
    path = golden_path(FaceEyes224, "png")
    picture = cv2.imread(str(path))
    assert picture is not None
    crops = made().extract(batch_of(portrait_frames(FRAMES), points=golden_landmarks()))
    difference = np.abs(crops.values.astype(int) - picture[..., ::-1].reshape(crops.values.shape))
    # vector units may round a bicubic sum the other way
    assert difference.max() <= 1, f"{path.name} differs: bump the version and make it anew"


def test_it_is_the_warp_of_the_transform_through_both_corners() -> None:
    frame, points = portrait_frames(1), golden_landmarks().slice(0, 1)
    left, right = points.values[0, [36, 45]].astype(np.float64)
    turn = complex(*(EYE_CORNERS_224[1] - EYE_CORNERS_224[0])) / complex(*(right - left))
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    matrix = np.column_stack([linear, EYE_CORNERS_224[0] - linear @ left])
    expected = cv2.warpAffine(frame[0], matrix, (224, 224), flags=cv2.INTER_CUBIC)
    crop = made().extract(batch_of(frame, points=points)).values[0]
    assert np.abs(crop.astype(int) - expected).max() <= 1


def test_marks_on_the_corners_come_to_lie_on_their_places() -> None:
    frame = np.zeros((1, 300, 400, 3), np.uint8)
    points = golden_landmarks().slice(0, 1)
    points.values[0, 36], points.values[0, 45] = (150, 120), (230, 160)
    for x, y in ((150, 120), (230, 160)):
        cv2.circle(frame[0], (x, y), 4, (255, 255, 255), -1)
    crop = made().extract(batch_of(frame, points=points)).values[0, ..., 0].astype(float)
    for half, place in ((slice(0, 112), (56, 72)), (slice(112, 224), (168, 72))):
        y, x = np.indices(crop.shape)
        weight = crop[:, half] / crop[:, half].sum()
        assert abs((x[:, half] * weight).sum() - place[0]) < 0.3
        assert abs((y[:, half] * weight).sum() - place[1]) < 0.3


def test_a_frame_without_landmarks_is_black_and_invalid() -> None:
    points = golden_landmarks()
    points.values[1], points.valid[1] = np.nan, False
    crops = made().extract(batch_of(portrait_frames(FRAMES), points=points))
    assert crops.valid.tolist() == [True, False]
    assert (crops.values[1] == 0).all()


def test_no_frames_give_no_rows() -> None:
    none = batch_of(np.zeros((0, 90, 120, 3), np.uint8), points=Landmarks68.outputs[0].empty())
    assert made().extract(none).values.shape == (0, 224, 224, 3)


def test_rows_without_eye_corners_are_refused_with_what_to_bind() -> None:
    track = Rows(np.zeros((1, 15), np.float32), np.array([True]))
    with pytest.raises(RequestError, match=r"bind face_eyes_224\.points to landmarks_68"):
        made().extract(batch_of(portrait_frames(1), points=track))
