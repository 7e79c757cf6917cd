"""identity: numbers that tell people apart, equal to dlib's own."""

from __future__ import annotations

from pathlib import Path

import dlib
import numpy as np
import pytest
from numpy.typing import NDArray

from features import weights
from features.dlib.chip import TEMPLATE, face_chips
from features.dlib.resnet import load
from features.dlib.weights_file import layers
from features.errors import WeightsDamaged
from features.faces import Faces
from features.identity import DIMENSIONS, STEPS, Identity
from features.spec import Rows
from tests.features.face_frames import GREY, batch_of, every, portrait_frames
from tests.features.face_goldens import GOLDEN, golden_path

#: where dlib's author draws the line between one person and two
SAME_PERSON = 0.6


@pytest.fixture(scope="module")
def faces() -> Faces:
    extractor = Faces(Faces.Params())
    extractor.setup("cpu")
    return extractor


@pytest.fixture(scope="module")
def recognition() -> dlib.face_recognition_model_v1:
    """dlib's own network."""
    return dlib.face_recognition_model_v1(str(weights.resolve("dlib-resnet")[0]))


def made(**params: object) -> Identity:
    extractor = Identity(Identity.Params(**params))  # type: ignore[arg-type]
    extractor.setup("cpu")
    return extractor


def of_clip(faces: Faces, path: Path, step: int, most: int) -> NDArray[np.float32]:
    """The numbers of every face of some frames of a clip."""
    frames = every(path, step, most)
    rows = made(every=1).extract(batch_of(frames, faces=faces.extract(batch_of(frames))))
    return rows.values[~np.isnan(rows.values).any(1)].astype(np.float32)


def distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=2), np.float32)


def test_the_network_gives_what_dlib_gives(recognition: dlib.face_recognition_model_v1) -> None:
    import torch

    picture = portrait_frames(1)[0]
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    chips = np.stack([picture[20:170, 40:190], noise])
    expected = np.array(recognition.compute_face_descriptor(list(chips)))
    net = load(weights.read("dlib-resnet")[0])
    assert np.abs(net(torch.from_numpy(chips)).numpy() - expected).max() < 1e-5


def test_a_face_gives_about_what_dlibs_own_way_gives(
    faces: Faces, recognition: dlib.face_recognition_model_v1
) -> None:
    frame = portrait_frames(1)
    rows = made().extract(batch_of(frame, faces=faces.extract(batch_of(frame))))
    five = str(weights.resolve("dlib-resnet")[0].parent / "shape_predictor_5_face_landmarks.dat")
    box = dlib.get_frontal_face_detector()(frame[0], 1)[0]
    chip = dlib.get_face_chip(frame[0], dlib.shape_predictor(five)(frame[0], box))
    expected = np.array(recognition.compute_face_descriptor(chip))
    assert np.linalg.norm(rows.values[0] - expected) < SAME_PERSON / 2


def test_points_on_the_template_give_the_picture_itself() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    assert np.array_equal(face_chips(picture, TEMPLATE[None])[0], picture)


def test_a_large_face_is_averaged_down() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (450, 450, 3), dtype=np.uint8)
    chip = face_chips(picture, TEMPLATE[None] * 3 + 1)[0].astype(int)
    means = picture.reshape(150, 3, 150, 3, 3).mean((1, 3))
    assert np.abs(chip - means).max() <= 1


def test_points_farther_apart_than_any_face_are_no_face() -> None:
    picture = np.random.default_rng(1).integers(1, 256, (90, 120, 3), dtype=np.uint8)
    assert not face_chips(picture, TEMPLATE[None] * 6000).any()
    assert face_chips(picture, TEMPLATE[None] * 3).any()


def test_only_every_kth_frame_of_the_clip_is_looked_at_and_aligned_with_faces(
    faces: Faces,
) -> None:
    frames = portrait_frames(8)
    frames[3] = GREY
    found = faces.extract(batch_of(frames, start=7))
    rows = made(every=5).extract(batch_of(frames, start=7, faces=found))
    assert rows.valid.tolist() == [i in (3,) for i in range(8)]
    rows = made(every=2).extract(batch_of(frames, start=7, faces=found))
    assert rows.valid.tolist() == [i % 2 == 1 for i in range(8)]
    assert rows.offsets is not None
    assert np.diff(rows.offsets).tolist() == [0, 1, 0, 0, 0, 1, 0, 1]
    assert rows.values.shape == (3, DIMENSIONS)
    assert np.array_equal(rows.values * STEPS, np.rint(rows.values * STEPS))


def test_a_faces_numbers_do_not_depend_on_the_faces_beside_it(faces: Faces) -> None:
    frames = portrait_frames(6)
    found = faces.extract(batch_of(frames))
    whole = made(every=1).extract(batch_of(frames, faces=found))
    single = [
        made(every=1).extract(batch_of(frames[i : i + 1], i, faces=found.slice(i, i + 1)))
        for i in range(6)
    ]
    assert Rows.concat(single).values.tobytes() == whole.values.tobytes()


def test_weak_detections_and_all_but_the_largest_of_a_crowd_are_nan(faces: Faces) -> None:
    frame = portrait_frames(1)
    one = faces.extract(batch_of(frame)).values
    small, weak = one.copy(), one.copy()
    small[0, 2:4] -= 5
    weak[0, 4] = 0.89
    crowd = np.concatenate([small, one, weak])
    rows = Rows(crowd, np.ones(1, bool), offsets=np.array([0, 3]))
    values = made(most=1).extract(batch_of(frame, faces=rows)).values
    assert np.isnan(values).all(1).tolist() == [True, False, True]
    values = made(most=2, min_score=0.5).extract(batch_of(frame, faces=rows)).values
    assert np.isnan(values).all(1).tolist() == [True, False, False]


def test_a_frame_without_a_face_and_a_batch_without_frames_give_no_numbers(faces: Faces) -> None:
    grey = np.full((1, 90, 120, 3), GREY, np.uint8)
    rows = made().extract(batch_of(grey, faces=faces.extract(batch_of(grey))))
    assert (rows.valid.tolist(), len(rows.values)) == ([True], 0)
    none = grey[:0]
    rows = made().extract(batch_of(none, faces=faces.extract(batch_of(none))))
    assert (rows.rows, rows.values.shape) == (0, (0, DIMENSIONS))


@pytest.mark.media
def test_three_people_are_three_and_each_stays_one(faces: Faces, media: Path) -> None:
    found = of_clip(faces, media / "a07_three_people_no_audio.mp4", 12, 3).reshape(3, 3, -1)
    for i in range(3):
        for j in range(3):
            between = distances(found[:, i], found[:, j])
            assert (between < SAME_PERSON).all() if i == j else (between > 0.55).all()


def test_a_damaged_file_is_refused() -> None:
    data = weights.read("dlib-resnet")[0]
    with pytest.raises(WeightsDamaged, match="stop early"):
        list(layers(data[:100_000]))
    with pytest.raises(WeightsDamaged, match="not dlib's"):
        load(data[8_000_000:])


def test_the_golden_frames_give_the_golden_numbers(faces: Faces) -> None:
    frames = portrait_frames(2)
    rows = made(every=1).extract(batch_of(frames, faces=faces.extract(batch_of(frames))))
    path = golden_path(Identity, "npy")
    hint = f"identity differs from {path.name}: if that is meant, bump its version and make it anew"
    assert np.abs(rows.values - np.load(GOLDEN / path.name)).max() < 2e-3, hint


def test_the_defaults_that_keys_leave_out_are_these() -> None:
    assert Identity.declaration.version == 1  # type: ignore[attr-defined]
    assert Identity.Params().model_dump() == {
        "backend": "dlib",
        "every": 10,
        "most": 8,
        "min_score": 0.9,
        "weights": "published",
    }, "a default changed: bump the version of identity"
