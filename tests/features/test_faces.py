"""faces: all detections of every frame, whatever is detected beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from features.faces import DETECTION_COLUMNS, Faces, published
from features.mtcnn.detector import Detections
from features.spec import Rows
from tests.features.face_frames import GREY, batch_of, every, portrait_frames
from tests.features.face_goldens import golden_path, load_rows

#: the step of rounding: two kinds of processor may fall on both sides of its border
PIXEL, SCORE = 1 / 64, 1e-4


@pytest.fixture(scope="module")
def faces() -> Faces:
    return made()


def made(**params: object) -> Faces:
    extractor = Faces(Faces.Params(**params))  # type: ignore[arg-type]
    extractor.setup("cpu")
    return extractor


def assert_same(one: Rows, other: Rows) -> None:
    """Bit for bit the same rows."""
    assert one.values.tobytes() == other.values.tobytes()
    assert np.array_equal(one.valid, other.valid)
    assert one.offsets is not None
    assert other.offsets is not None
    assert np.array_equal(one.offsets, other.offsets)


def test_the_golden_frames_give_the_golden_faces(faces: Faces) -> None:
    path = golden_path(Faces)
    rows = faces.extract(batch_of(portrait_frames(6)))
    expected, offsets = load_rows(path)
    hint = f"faces differs from {path.name}: if that is meant, bump its version and make it anew"
    assert rows.offsets is not None
    assert rows.offsets.tolist() == offsets.tolist(), hint
    difference = np.abs(rows.values - expected)
    assert (np.delete(difference, 4, 1) <= PIXEL).all(), hint
    assert (difference[:, 4] <= SCORE + 1e-6).all(), hint


def test_a_row_has_box_score_and_five_points_of_the_face(faces: Faces) -> None:
    rows = faces.extract(batch_of(portrait_frames(1)))
    face = dict(zip(DETECTION_COLUMNS, rows.values[0].tolist(), strict=True))
    assert face["x0"] < face["left_eye_x"] < face["nose_x"] < face["right_eye_x"] < face["x1"]
    assert face["y0"] < face["left_eye_y"] < face["nose_y"] < face["left_mouth_y"] < face["y1"]
    assert face["left_mouth_x"] < face["right_mouth_x"]
    assert face["score"] > 0.99
    assert rows.values.dtype == np.float32


@pytest.mark.media
def test_frames_one_by_one_and_in_batches_give_the_same_bits(faces: Faces, media: Path) -> None:
    frames = every(media / "a06_stage_dark_profile_many_faces.mp4", 8, 32)
    whole = faces.extract(batch_of(frames))
    single = [faces.extract(batch_of(frames[i : i + 1], i)) for i in range(len(frames))]
    thirds = [faces.extract(batch_of(frames[i : i + 11], i)) for i in range(0, len(frames), 11)]
    assert len(whole.values) > 20
    assert_same(Rows.concat(single), whole)
    assert_same(Rows.concat(thirds), whole)


def test_a_frame_without_a_face_is_a_valid_empty_row(faces: Faces) -> None:
    frames = portrait_frames(3)
    frames[1] = GREY
    rows = faces.extract(batch_of(frames))
    assert rows.valid.all()
    assert rows.offsets is not None
    assert np.diff(rows.offsets).tolist() == [1, 0, 1]


def test_frames_between_strides_are_invalid_and_empty_and_count_from_the_clips_start() -> None:
    third = made(stride=3)
    frames = portrait_frames(5)
    rows = third.extract(batch_of(frames, start=4))
    assert rows.valid.tolist() == [False, False, True, False, False]
    assert rows.offsets is not None
    assert np.diff(rows.offsets).tolist() == [0, 0, 1, 0, 0]
    alone = made().extract(batch_of(frames[2:3], start=6))
    assert rows.values.tobytes() == alone.values.tobytes()


def test_no_frames_give_no_rows(faces: Faces) -> None:
    rows = faces.extract(batch_of(np.zeros((0, 90, 120, 3), np.uint8)))
    assert (rows.rows, rows.values.shape) == (0, (0, 15))


def test_frames_smaller_than_the_smallest_face_have_none(faces: Faces) -> None:
    rows = faces.extract(batch_of(np.zeros((2, 15, 200, 3), np.uint8)))
    assert rows.valid.tolist() == [True, True]
    assert len(rows.values) == 0


def test_a_greater_smallest_face_leaves_small_faces_out() -> None:
    rows = made(min_face=200).extract(batch_of(portrait_frames(1)))
    assert len(rows.values) == 0


def test_times_of_the_batch_place_its_rows(faces: Faces) -> None:
    assert faces.extract(batch_of(portrait_frames(1), start=50)).t0 == 2.0


def test_what_is_published_is_rounded_and_the_largest_face_comes_first() -> None:
    found = Detections(
        frames=np.array([0, 0, 0, 1]),
        boxes=np.array(
            [[0, 0, 5, 5.001], [0, 0, 9.004, 9], [0, 0, 5, 5], [-0.001, 2, 3, 4]], np.float32
        ),
        scores=np.array([0.91237, 0.95, 0.99, 0.9], np.float32),
        points=np.full((4, 5, 2), 1.01, np.float32),
    )
    values, frames = published(found)
    assert frames.tolist() == [0, 0, 0, 1]
    assert values[:, 4].tolist() == np.array([0.95, 0.99, 0.9124, 0.9], np.float32).tolist()
    assert (values[:, :4] * 64 == np.rint(values[:, :4] * 64)).all()
    assert (values[:, 5:] == np.float32(65 / 64)).all()
    assert not np.signbit(values[3, 0])


@pytest.mark.parametrize(
    "wrong",
    [{"min_face": 3}, {"factor": 1.0}, {"thresholds": (0.5, 0.5)}, {"stride": 0}, {"backend": "x"}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Faces.Params(**wrong)  # type: ignore[arg-type]


def test_the_defaults_that_keys_leave_out_are_these() -> None:
    assert Faces.declaration.version == 2  # type: ignore[attr-defined]
    assert Faces.Params().model_dump() == {
        "backend": "mtcnn",
        "min_face": 20.0,
        "thresholds": (0.6, 0.7, 0.7),
        "factor": 0.709,
        "rule": "facenet",
        "stride": 1,
        "precision": "fp32",
        "upsample": 1,
        "least": 0.6,
        "overlap": 0.4,
        "weights": "published",
    }, "a default changed: bump the version of faces"
