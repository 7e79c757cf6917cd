"""head_pose and gaze: from landmarks and irises to the space before the camera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from features.errors import RequestError
from features.extractor import Batch
from features.gaze import Gaze
from features.head_pose import HeadPose
from features.media.media import Media
from features.media.video import decoder_starts, set_decoder_starts
from features.mesh import points as at
from features.mesh.head import IRISES, MODEL, RIGID, angles, camera, rotation_of, solve
from features.mesh.space import EYE_LIFT, EYEBALL, Head, gaze, gaze_angles, in_front_of_camera
from features.spec import Rows
from tests.features.face_frames import NO_MEDIA, portrait_frames
from tests.features.made_clips import ffmpeg, frames_of, make_clip
from tests.features.mesh_goldens import (
    golden_gaze,
    golden_landmarks,
    golden_mesh,
    golden_pose,
    load,
    pose_of,
)

WIDTH, HEIGHT = 640, 480
CAMERA = camera(WIDTH, HEIGHT)


def seen(place: np.ndarray, turn: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Pixels of places of the model under a pose, by OpenCV's own projection."""
    pixels, _ = cv2.projectPoints(place, cv2.Rodrigues(turn)[0], move, CAMERA, None)
    return np.asarray(pixels[:, 0])


def landmarks_of(turn: np.ndarray, move: np.ndarray) -> np.ndarray:
    made = np.full((68, 2), 1e6)
    made[list(RIGID)] = seen(np.stack([MODEL[i] for i in RIGID]), turn, move)
    return made


def test_the_golden_landmarks_give_the_golden_pose_and_gaze() -> None:
    assert np.abs(golden_pose().values - load(HeadPose)).max() < 0.05, "head_pose: bump the version"
    assert np.abs(golden_gaze().values - load(Gaze)).max() < 2e-3, "gaze: bump the version"


@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -5, 3), (-20, 35, -15), (5, -50, 30)])
def test_a_projected_head_is_found_where_it_was(degrees: tuple[float, float, float]) -> None:
    turned, move = np.radians(degrees), np.array([40.0, -25, 600])
    found = solve(landmarks_of(rotation_of(turned), move), CAMERA)
    assert found is not None
    assert np.abs(found[0] - move).max() < 0.01
    assert np.abs(angles(found[1]) - turned).max() < 1e-5


def test_the_pose_is_that_of_a_plain_call_of_solvepnp() -> None:
    frame = portrait_frames(1)
    seen_there = golden_landmarks().values[0, list(RIGID)].astype(np.float64)
    model = np.stack([MODEL[i] for i in RIGID])
    matrix = camera(frame.shape[2], frame.shape[1])
    _, turn, move = cv2.solvePnP(model, seen_there, matrix, None, flags=cv2.SOLVEPNP_ITERATIVE)
    row = golden_pose().values[0]
    assert np.allclose(row[:3], move[:, 0], atol=0.05)
    assert np.allclose(row[3:6], angles(cv2.Rodrigues(turn)[0]), atol=2e-4)
    assert row[6:].tolist() == [250.0, 160.0, 120.0]


def test_angles_and_rotation_undo_each_other() -> None:
    turned = np.array([0.3, -0.7, 1.1])
    assert np.allclose(angles(rotation_of(turned)), turned)
    about = [cv2.Rodrigues(np.eye(3)[i] * turned[i])[0] for i in range(3)]
    assert np.allclose(rotation_of(turned), about[0] @ about[1] @ about[2])


def test_the_guessed_camera_is_openfaces_and_a_given_one_is_taken() -> None:
    assert camera(640, 480)[0, 0] == 500
    assert camera(1280, 480)[0, 0] == 750
    assert camera(640, 480, focal=900.0).tolist() == [[900, 0, 320], [0, 900, 240], [0, 0, 1]]


@pytest.mark.parametrize(
    ("turn", "written"),
    [
        (("-display_rotation", "90"), ()),
        (("-display_rotation", "180"), ()),
        ((), ("-vf", "setsar=4/3")),
        ((), ("-vf", "crop=61:45", "-pix_fmt", "yuv444p")),
    ],
    ids=["portrait", "upside down", "anamorphic", "odd sides"],
)
def test_the_cameras_middle_is_that_of_the_decoded_frames(
    turn: tuple[str, ...], written: tuple[str, ...], tmp_path: Path
) -> None:
    plain = make_clip(tmp_path / "plain.mp4", *written, seconds=0.2, sound=False)
    ffmpeg(*turn, "-i", str(plain), "-c", "copy", str(tmp_path / "a.mp4"))
    media = Media(str(tmp_path / "a.mp4"))
    set_decoder_starts()
    made = HeadPose(HeadPose.Params()).extract(
        Batch(media, inputs={"landmarks": golden_landmarks()})
    )
    assert decoder_starts() == 0
    frames = frames_of(media).frames
    assert frames is not None
    height, width = frames.shape[1:3]
    expected = camera(width, height)[[0, 0, 1], [0, 2, 2]].astype(np.float32)
    assert made.values[0, 6:].tolist() == expected.tolist()


def test_twice_the_focal_length_is_about_twice_the_distance() -> None:
    far = pose_of(golden_landmarks(), focal=500)
    assert 1.8 < far.values[0, 2] / golden_pose().values[0, 2] < 2.2


def mesh_with_irises(turn: np.ndarray, move: np.ndarray, look: np.ndarray) -> np.ndarray:
    """The mesh's eye corners and irises of a model head whose eyes look along ``look``."""
    mesh = np.zeros((478, 3))
    corners = {36: at.LEFT_OUTER, 39: at.LEFT_INNER, 42: at.RIGHT_INNER, 45: at.RIGHT_OUTER}
    for landmark, point in corners.items():
        mesh[point, :2] = seen(MODEL[landmark][None], turn, move)[0]
    for eye, iris in enumerate((at.LEFT_IRIS, at.RIGHT_IRIS)):
        ball = turn @ (IRISES[eye] + [0, -EYE_LIFT, EYEBALL]) + move
        mesh[iris, :2] = seen((ball + EYEBALL * look)[None], np.eye(3), np.zeros(3))[0]
    return mesh


@pytest.mark.parametrize("degrees", [(0, 0), (15, 0), (0, -12), (-10, 8)])
def test_the_gaze_is_found_of_a_projected_eye(degrees: tuple[float, float]) -> None:
    across, down = np.tan(np.radians(degrees))
    look = np.array([across, down, -1.0])
    look /= np.linalg.norm(look)
    turned, move = np.array([0.05, -0.1, 0.02]), np.array([20.0, 10, 550])
    mesh = mesh_with_irises(rotation_of(turned), move, look)
    row = np.array([*move, *turned, CAMERA[0, 0], CAMERA[0, 2], CAMERA[1, 2]])
    found = gaze(mesh, Head.of(row))
    assert np.degrees(np.arccos(np.clip(found @ look, -1, 1))).max() < 1.0
    assert np.allclose(np.degrees(gaze_angles(found)), degrees, atol=1.0)


def test_an_iris_beside_its_eyeball_still_gives_a_unit_vector() -> None:
    mesh = mesh_with_irises(np.eye(3), np.array([0.0, 0, 500]), np.array([0.0, 0, -1]))
    mesh[at.LEFT_IRIS, 0] += 60
    row = np.array([0.0, 0, 500, 0, 0, 0, CAMERA[0, 0], CAMERA[0, 2], CAMERA[1, 2]])
    found = gaze(mesh, Head.of(row))
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert found[0, 0] > 0.9


def test_places_project_back_to_their_pixels_and_lie_at_the_heads_distance() -> None:
    mesh, head = golden_mesh().values[0].astype(np.float64), Head.of(golden_pose().values[0])
    places = in_front_of_camera(mesh[:468], mesh, head)
    back = places[:, :2] / places[:, 2:] * head.focal + head.centre
    assert np.abs(back - mesh[:468, :2]).max() < 1e-6
    assert abs(places[:, 2].mean() - head.move[2]) < 80
    # nose in front of ears, and a head is about as deep as it is
    assert 50 < places[127, 2] - places[4, 2] < 150


def test_rows_without_landmarks_are_invalid_in_both() -> None:
    landmarks, pose = golden_landmarks(), golden_pose()
    landmarks.values[1], landmarks.valid[1] = np.nan, False
    made = pose_of(landmarks)
    assert made.valid.tolist() == [True, False]
    assert np.isnan(made.values[1]).all()
    pose.values[0], pose.valid[0] = np.nan, False
    looks = Gaze(Gaze.Params()).extract(
        Batch(NO_MEDIA, inputs={"mesh": golden_mesh(), "pose": pose})
    )
    assert looks.valid.tolist() == [False, True]
    assert np.isnan(looks.values[0]).all()


def test_landmarks_that_are_no_face_don_t_stop_the_clip() -> None:
    same = Rows(np.full((1, 68, 2), 7, np.float32), np.array([True]))
    made = pose_of(same)
    assert made.values.shape == (1, 9)
    assert made.valid[0] == np.isfinite(made.values[0]).all()


def test_no_rows_give_no_rows() -> None:
    assert pose_of(golden_landmarks().slice(0, 0)).values.shape == (0, 9)
    inputs = {"mesh": golden_mesh().slice(0, 0), "pose": golden_pose().slice(0, 0)}
    assert Gaze(Gaze.Params()).extract(Batch(NO_MEDIA, inputs=inputs)).values.shape == (0, 8)


def test_rows_of_another_kind_are_refused_with_what_to_bind() -> None:
    wrong = Rows(np.zeros((1, 15), np.float32), np.array([True]))
    with pytest.raises(RequestError, match=r"bind head_pose\.landmarks to landmarks_68"):
        pose_of(wrong)
    inputs = {"mesh": golden_mesh().slice(0, 1), "pose": wrong}
    with pytest.raises(RequestError, match=r"gaze\.pose to head_pose"):
        Gaze(Gaze.Params()).extract(Batch(NO_MEDIA, inputs=inputs))
