"""face_track: the main face of every frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.face_track import FaceTrack
from features.faces import Faces
from features.spec import Rows
from tests.features.face_frames import NO_MEDIA, Batch

Face = tuple[float, float]


def detections(*frames: list[Face]) -> Rows:
    """Rows of ``faces``: per frame (side of a square box, score); x0 tells which face it was."""
    values = np.zeros((sum(map(len, frames)), 15), np.float32)
    for i, (side, score) in enumerate(face for frame in frames for face in frame):
        values[i, :5] = i, 0, i + side, side, score
        values[i, 5:] = i
    offsets = np.cumsum([0, *map(len, frames)])
    return Rows(values, np.ones(len(frames), bool), 0.5, offsets=offsets)


def track(faces: Rows, **params: float) -> Rows:
    return FaceTrack(FaceTrack.Params(**params)).extract(Batch(NO_MEDIA, inputs={"faces": faces}))


def test_the_largest_face_with_a_sufficient_score_is_the_main_one() -> None:
    rows = track(detections([(10, 0.99), (30, 0.95), (90, 0.89)], [(5, 0.9)]))
    assert rows.valid.all()
    assert rows.values[:, 0].tolist() == [1, 3]
    assert rows.values.dtype == np.float32


def test_of_equally_large_faces_the_higher_score_wins_then_the_first() -> None:
    rows = track(detections([(9, 0.91), (9, 0.97), (9, 0.97)]))
    assert rows.values[0, 0] == 1


def test_a_frame_without_such_a_face_is_an_invalid_row_of_nan() -> None:
    rows = track(detections([], [(50, 0.8)], [(50, 0.95)]))
    assert rows.valid.tolist() == [False, False, True]
    assert np.isnan(rows.values[:2]).all()
    assert not np.isnan(rows.values[2]).any()


def test_the_least_score_is_a_parameter_and_suffices_itself() -> None:
    faces = detections([(50, 0.9)], [(50, 0.5)])
    assert track(faces).valid.tolist() == [True, False]
    assert track(faces, min_score=0.5).valid.tolist() == [True, True]
    assert track(faces, min_score=0.95).valid.tolist() == [False, False]


def test_a_clip_without_frames_or_faces_has_as_many_rows_as_frames() -> None:
    assert track(detections()).values.shape == (0, 15)
    assert track(detections([], [])).valid.tolist() == [False, False]


def test_rows_start_where_the_faces_do() -> None:
    assert track(detections([(9, 0.99)])).t0 == 0.5


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.5, 0.9, 0.95, 1.0])), max_size=5),
        max_size=8,
    )
)
def test_the_choice_equals_a_plain_loop_over_frames(frames: list[list[Face]]) -> None:
    rows = track(detections(*frames))
    number = 0
    for i, faces in enumerate(frames):
        best: tuple[float, float, int] | None = None
        for side, score in faces:
            rank = (side, score, -number)
            if score >= 0.9 and (best is None or rank > best):
                best = rank
            number += 1
        assert bool(rows.valid[i]) == (best is not None)
        if best is not None:
            assert rows.values[i, 0] == -best[2]


def test_the_defaults_that_keys_leave_out_are_these() -> None:
    assert FaceTrack.declaration.inputs == {"faces": Faces.outputs[0].name}  # type: ignore[attr-defined]
    assert FaceTrack.Params().model_dump() == {"min_score": 0.9}, "bump the version of face_track"
