"""face_mesh: 478 points of the main face."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import RequestError
from features.face_mesh import FaceMesh
from features.face_track import FaceTrack
from features.mesh import points as at
from features.mesh.mesher import EYE_SCALE, FACE_SCALE, Mesher, square_of_box
from features.mesh.squares import crop, round_points, to_frame
from features.spec import Rows
from tests.features.face_frames import batch_of, every, largest, portrait_frames
from tests.features.face_goldens import golden_track
from tests.features.fdlite_reference import reference
from tests.features.mesh_goldens import FRAMES, load, portrait_mesh, portrait_score

#: px; the reference samples its square with another bilinear filter than OpenCV's
NEAR = 0.5


@pytest.fixture(scope="module")
def mesher() -> Mesher:
    return Mesher(passes=2)


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    extractor = FaceMesh(FaceMesh.Params())
    extractor.setup("cpu")
    return extractor


def roi_of(square: Any, frame: Any, types: Any) -> Any:
    """Our square as the reference's region: shares of the frame, from its corner."""
    height, width = frame.shape[:2]
    x, y, side, angle = square.tolist()
    return types.Rect(
        (x + 0.5) / width, (y + 0.5) / height, side / width, side / height, angle, True
    )


def in_pixels(landmarks: Any, frame: Any) -> Any:
    height, width = frame.shape[:2]
    return np.array([[p.x * width - 0.5, p.y * height - 0.5, p.z * width] for p in landmarks])


def test_the_golden_frames_give_the_golden_mesh() -> None:
    difference = np.abs(portrait_mesh().values - load(FaceMesh))
    assert difference.max() < 0.1, "face_mesh differs: bump the version and make it anew"


@pytest.mark.parametrize("turned", [0.0, 0.4])
def test_the_face_is_the_packages_own_for_the_same_square(
    mesher: Mesher, monkeypatch: pytest.MonkeyPatch, turned: float
) -> None:
    face_landmark, _, types = reference(monkeypatch)
    frame = portrait_frames(1)[0]
    track = golden_track().values[0].astype(np.float64)
    square = square_of_box(track[:4], track[5:9].reshape(2, 2))
    square[3] += turned
    theirs = face_landmark.FaceLandmark()(frame, roi_of(square, frame, types))
    raw, _ = mesher.face.run(crop(frame, square, 192))
    ours = to_frame(raw.reshape(-1, 3), square, 192)
    assert np.abs(ours - in_pixels(theirs, frame)).max() < NEAR


def test_lids_and_irises_are_the_packages_own(
    mesher: Mesher, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, iris_landmark, types = reference(monkeypatch)
    frame = portrait_frames(1)[0]
    track = golden_track().values[0].astype(np.float64)
    ours, _ = mesher.mesh(frame, track[:4], track[5:9].reshape(2, 2))
    # the face's own points, from which both eyes' squares are taken
    square = square_of_box(track[:4], track[5:9].reshape(2, 2))
    for _ in range(2):
        face = to_frame(mesher.face.run(crop(frame, square, 192))[0].reshape(-1, 3), square, 192)
        square = round_points(face, FACE_SCALE, face[at.LEFT_OUTER], face[at.RIGHT_OUTER])
    eyes = (
        (at.LEFT_EYE_REGION, at.LEFT_IRIS, at.LEFT_OUTER, at.LEFT_INNER, False, [0, 1, 2, 3, 4]),
        (at.RIGHT_EYE_REGION, at.RIGHT_IRIS, at.RIGHT_INNER, at.RIGHT_OUTER, True, [0, 3, 2, 1, 4]),
    )
    for region, iris, left, right, mirrored, order in eyes:
        corners = face[[left, right]]
        roi = roi_of(round_points(corners, EYE_SCALE, *corners), frame, types)
        theirs = iris_landmark.IrisLandmark()(frame, roi, is_right_eye=mirrored)
        contour = in_pixels(theirs.contour, frame)[:, :2]
        rim = in_pixels(theirs.iris, frame)[order, :2]
        assert np.abs(ours[region, :2] - contour).max() < NEAR
        assert np.abs(ours[iris : iris + 5, :2] - rim).max() < NEAR


def test_each_iris_has_its_centre_then_its_edge_right_up_left_and_down() -> None:
    for iris in (at.LEFT_IRIS, at.RIGHT_IRIS):
        edge = portrait_mesh().values[0, iris + 1 : iris + 5, :2]
        off = edge - portrait_mesh().values[0, iris, :2]
        assert off[0, 0] > 0 > off[2, 0]
        assert off[1, 1] < 0 < off[3, 1]


def test_the_nose_is_nearer_than_the_ears_and_the_left_eye_is_left() -> None:
    points = portrait_mesh().values[0]
    assert points[4, 2] < points[127, 2]
    assert points[at.LEFT_OUTER, 0] < points[at.LEFT_INNER, 0] < points[at.RIGHT_INNER, 0]


def test_a_moved_picture_moves_the_points_with_it(mesh: FaceMesh) -> None:
    track = golden_track().slice(0, 1)
    frame = portrait_frames(1)
    moved = np.roll(frame, (12, 20), (1, 2))
    row = track.values.copy()
    row[:, [0, 2, 5, 7, 9, 11, 13]] += 20
    row[:, [1, 3, 6, 8, 10, 12, 14]] += 12
    here = mesh.extract(batch_of(frame, face=track))["face_mesh"].values
    there = mesh.extract(batch_of(moved, face=Rows(row, track.valid)))["face_mesh"].values
    assert np.abs(there - here - [20, 12, 0]).max() < 0.1


def test_a_worse_box_gives_nearly_the_same_points(mesh: FaceMesh) -> None:
    track = golden_track().slice(0, 1)
    row = track.values.copy()
    side = row[0, 3] - row[0, 1]
    row[:, :4] += np.array([-0.1, 0.05, 0.0, 0.1]) * side
    worse = mesh.extract(
        batch_of(portrait_frames(1), face=Rows(row.astype(np.float32), track.valid))
    )
    eyes = np.linalg.norm(
        portrait_mesh().values[0, at.LEFT_OUTER] - portrait_mesh().values[0, at.RIGHT_OUTER]
    )
    off = worse["face_mesh"].values[0, :468, :2] - portrait_mesh().values[0, :468, :2]
    assert np.linalg.norm(off, axis=1).mean() < 0.03 * eyes


def test_a_box_without_eyes_gives_nearly_the_same_points(mesh: FaceMesh) -> None:
    track = golden_track().slice(0, 1)
    row = track.values.copy()
    row[:, 5:] = np.nan
    blind = mesh.extract(batch_of(portrait_frames(1), face=Rows(row, track.valid)))["face_mesh"]
    assert blind.valid.all()
    off = blind.values[0, :468, :2] - portrait_mesh().values[0, :468, :2]
    assert np.linalg.norm(off, axis=1).mean() < 1.0


def test_a_box_on_no_face_is_invalid_and_scored(mesh: FaceMesh) -> None:
    grey = np.full((1, 240, 320, 3), 96, np.uint8)
    rows = mesh.extract(batch_of(grey, face=golden_track().slice(0, 1)))
    assert not rows["face_mesh"].valid.any()
    assert np.isnan(rows["face_mesh"].values).all()
    assert rows["face_mesh_score"].valid.all()
    assert rows["face_mesh_score"].values[0] < 0.5
    assert (portrait_score().values > 0.9).all()


def test_a_frame_without_a_face_is_invalid_in_both(mesh: FaceMesh) -> None:
    track = golden_track().slice(0, FRAMES)
    track.values[1], track.valid[1] = np.nan, False
    rows = mesh.extract(batch_of(portrait_frames(FRAMES), face=track))
    for feature in ("face_mesh", "face_mesh_score"):
        assert rows[feature].valid.tolist() == [True, False]
        assert np.isnan(rows[feature].values[1]).all()


def test_each_row_depends_on_its_own_frame_and_face_alone(mesh: FaceMesh) -> None:
    one = mesh.extract(
        batch_of(portrait_frames(FRAMES)[1:], 1, face=golden_track().slice(1, FRAMES))
    )
    assert np.array_equal(one["face_mesh"].values[0], portrait_mesh().values[1])
    assert one["face_mesh"].t0 == 0.04


def test_no_frames_give_no_rows(mesh: FaceMesh) -> None:
    none = batch_of(np.zeros((0, 90, 120, 3), np.uint8), face=FaceTrack.outputs[0].empty())
    rows = mesh.extract(none)
    assert rows["face_mesh"].values.shape == (0, 478, 3)
    assert rows["face_mesh_score"].values.shape == (0,)


@pytest.mark.parametrize("box", [(50, 50, 50, 50), (0, 0, 1e-3, 1e-3), (1e6, 1e6, 1e6 + 9, 1e6)])
def test_a_box_that_shows_nothing_is_invalid(mesh: FaceMesh, box: tuple[float, ...]) -> None:
    row = np.zeros((1, 15), np.float32)
    row[0, :4] = box
    rows = mesh.extract(batch_of(portrait_frames(1), face=Rows(row, np.array([True]))))
    assert not rows["face_mesh"].valid.any()


def test_rows_without_box_and_eyes_are_refused_with_what_to_bind(mesh: FaceMesh) -> None:
    landmarks = Rows(np.zeros((1, 68, 2), np.float32), np.array([True]))
    with pytest.raises(RequestError, match=r"bind face_mesh\.face to face_track"):
        mesh.extract(batch_of(portrait_frames(1), face=landmarks))


@pytest.mark.media
def test_a_small_face_of_a_real_clip_is_found(mesh: FaceMesh, media: Path) -> None:
    from features.faces import Faces

    frames = every(media / "a05_speech_two_people_12fps.mp4", 20, 3)
    faces = Faces(Faces.Params(min_face=40))
    faces.setup("cpu")
    track = largest(faces.extract(batch_of(frames)))
    rows = mesh.extract(batch_of(frames, face=track))["face_mesh"]
    assert rows.valid.all()
    # irises lie where the detector has the eyes, within a tenth of the eyes' distance
    eyes = track.values[:, 5:9].reshape(-1, 2, 2)
    found = rows.values[:, [at.LEFT_IRIS, at.RIGHT_IRIS], :2]
    distance = np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)
    assert (np.linalg.norm(found - eyes, axis=2).max(1) < 0.12 * distance).all()


def test_loading_the_networks_says_nothing_on_standard_error() -> None:
    code = "from features.mesh.mesher import Mesher; Mesher(passes=1); import os; os.write(2, b'x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"x"
