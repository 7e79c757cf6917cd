"""face_112 and face_112x96: the aligned main face of every frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from features.align import ARCFACE_112, SPHEREFACE_112X96
from features.face_112 import Face112
from features.face_112x96 import Face112x96
from features.face_track import FaceTrack
from features.spec import Rows
from tests.features.face_frames import batch_of, portrait_frames
from tests.features.face_goldens import FRAMES, golden_path, golden_track, load_crops

KINDS = [(Face112, ARCFACE_112), (Face112x96, SPHEREFACE_112X96)]
CROPS = pytest.mark.parametrize("cls", [Face112, Face112x96], ids=["face_112", "face_112x96"])


def made(cls: Any) -> Any:
    extractor = cls(cls.Params())
    extractor.setup("cpu")
    return extractor


@CROPS
def test_the_golden_frames_give_the_golden_crops(cls: Any) -> None:
    path = golden_path(cls, "png")
    crops = made(cls).extract(batch_of(portrait_frames(FRAMES), points=golden_track()))
    difference = np.abs(crops.values.astype(int) - load_crops(path))
    # vector units may round a bicubic sum the other way
    assert difference.max() <= 1, f"{path.name} differs: bump the version and make it anew"
    assert crops.valid.all()


@CROPS
def test_a_frame_without_a_face_is_black_and_invalid(cls: Any) -> None:
    track = golden_track()
    track.values[1], track.valid[1] = np.nan, False
    crops = made(cls).extract(batch_of(portrait_frames(FRAMES), points=track))
    assert crops.valid.tolist() == [True, False, True, True, True, True]
    assert (crops.values[1] == 0).all()
    assert (crops.values[0] > 0).any()


@CROPS
def test_each_row_depends_on_its_own_frame_and_points_alone(cls: Any) -> None:
    frames, track, extractor = portrait_frames(FRAMES), golden_track(), made(cls)
    whole = extractor.extract(batch_of(frames, points=track))
    some = np.array([4, 1])
    part = extractor.extract(
        batch_of(frames[some], points=Rows(track.values[some], track.valid[some]))
    )
    assert np.array_equal(part.values, whole.values[some])
    assert cls.declaration.frame_local


@CROPS
def test_shape_and_type_are_those_declared_even_of_no_frames(cls: Any) -> None:
    spec = cls.outputs[0]
    none = batch_of(np.zeros((0, 90, 120, 3), np.uint8), points=FaceTrack.outputs[0].empty())
    rows = made(cls).extract(none)
    assert rows.values.shape == (0, *spec.dims)
    assert rows.values.dtype == spec.dtype == "uint8"
    assert spec.dims == ((112, 112, 3) if cls is Face112 else (112, 96, 3))


@CROPS
def test_the_slot_takes_68_landmarks_too(cls: Any) -> None:
    track = golden_track()
    eyes_nose_mouth = track.values[:, 5:].reshape(-1, 5, 2)
    landmarks = np.zeros((FRAMES, 68, 2), np.float32)
    landmarks[:, 36:42], landmarks[:, 42:48] = eyes_nose_mouth[:, :1], eyes_nose_mouth[:, 1:2]
    landmarks[:, [30, 48, 54]] = eyes_nose_mouth[:, 2:]
    frames, extractor = portrait_frames(FRAMES), made(cls)
    by_track = extractor.extract(batch_of(frames, points=track))
    by_landmarks = extractor.extract(batch_of(frames, points=Rows(landmarks, track.valid)))
    assert np.array_equal(by_track.values, by_landmarks.values)


@pytest.mark.parametrize(("cls", "template"), KINDS, ids=["face_112", "face_112x96"])
def test_what_lay_at_the_five_points_lies_on_the_template(cls: Any, template: Any) -> None:
    turn = 3.0 * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    points = template @ turn.T + [160.0, 20.0]
    for point, place in zip(points, template, strict=True):
        frame = np.zeros((1, 480, 480, 3), np.uint8)
        cv2.circle(frame[0], tuple(np.rint(point).astype(int).tolist()), 9, (255, 255, 255), -1)
        row = np.concatenate([[0, 0, 1, 1, 1], points.reshape(-1)])[None].astype(np.float32)
        crop = made(cls).extract(batch_of(frame, points=Rows(row, np.array([True])))).values[0]
        y, x = np.indices(crop.shape[:2])
        weight = crop[..., 0] / crop[..., 0].sum()
        assert abs((x * weight).sum() - place[0]) < 0.3
        assert abs((y * weight).sum() - place[1]) < 0.3
