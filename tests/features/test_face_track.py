"""face_track and tracks: one person's face in every frame, whoever else is there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.errors import RequestError
from features.face_track import FaceTrack
from features.faces import Faces
from features.identity import Identity
from features.spec import Rows
from features.tracking.override import Override
from tests.features.face_frames import NO_MEDIA, Batch, batch_of, every, largest
from tests.features.face_goldens import golden_path
from tests.features.track_kit import Face, run, scene, subjects, tracks

A, B, C = 1, 2, 3


def test_the_main_person_is_the_one_with_the_largest_area_times_duration() -> None:
    long_and_small = [[Face(A, 10, side=30)] for _ in range(12)]
    for frame in long_and_small[4:7]:
        frame.append(Face(B, 200, side=50))
    assert subjects(run(long_and_small)) == [A] * 12
    for frame in long_and_small[:4]:
        frame.append(Face(B, 200, side=50))
    assert subjects(run(long_and_small)) == [B] * 7 + [-1] * 5


def test_rows_do_not_hop_to_a_larger_face_beside() -> None:
    growing = [[Face(A, 10, side=40), Face(B, 200, side=30 + 2 * i)] for i in range(9)]
    assert subjects(run(growing)) == [A] * 9


def test_a_frame_without_the_subject_is_an_invalid_row_of_nan() -> None:
    made = run([[Face(A, 10)], [Face(B, 200)], [], [Face(A, 12)]])["face_track"]
    assert made.valid.tolist() == [True, False, False, True]
    assert np.isnan(made.values[1:3]).all()
    assert not np.isnan(made.values[[0, 3]]).any()


def test_the_least_score_is_a_parameter_and_suffices_itself() -> None:
    weak = [[Face(A, 10, score=0.9)], [Face(A, 10, score=0.8)]]
    assert subjects(run(weak)) == [A, -1]
    assert subjects(run(weak, min_score=0.8)) == [A, A]
    assert subjects(run(weak, min_score=0.95)) == [-1, -1]
    assert tracks(run(weak, min_score=0.95)) == [[0], [0]]


def test_a_person_who_left_and_comes_back_elsewhere_is_the_same_track() -> None:
    away = [[Face(A, 10)] for _ in range(5)] + [[]] * 30 + [[Face(A, 300)] for _ in range(5)]
    assert subjects(run(away)) == [A] * 5 + [-1] * 30 + [A] * 5
    assert [t for frame in tracks(run(away)) for t in frame] == [0] * 10
    alone = run(away, use_identity=False)
    assert [t for frame in tracks(alone) for t in frame] == [0] * 5 + [1] * 5


def test_a_short_absence_is_bridged_without_identity() -> None:
    away = [[Face(A, 10)], [], [], [Face(A, 14)]]
    assert tracks(run(away, use_identity=False)) == [[0], [], [], [0]]
    assert tracks(run(away, use_identity=False, gap=1)) == [[0], [], [], [1]]


def strided(frames: list[list[Face]], k: int, interpolate: bool = True) -> Rows:
    """``face_track`` of a scene of which every k-th frame was looked at."""
    shown = [frame if i % k == 0 else [] for i, frame in enumerate(frames)]
    faces, _ = scene(shown)
    faces = Rows(faces.values, np.arange(len(frames)) % k == 0, 0.5, offsets=faces.offsets)
    params = FaceTrack.Params(use_identity=False, interpolate=interpolate)
    batch = Batch(NO_MEDIA, inputs={"faces": faces})
    return FaceTrack(params).extract(batch)["face_track"]


def test_frames_that_a_stride_passes_over_are_interpolated_on_request() -> None:
    frames = [[Face(A, 10 + i**2 / 3, side=40, score=0.99 - 0.01 * i)] for i in range(8)]
    bare, filled = strided(frames, 3, interpolate=False), strided(frames, 3)
    assert bare.valid.tolist() == [True, False, False] * 2 + [True, False]
    # nothing is known after the last frame that was looked at
    assert filled.valid.tolist() == [True] * 7 + [False]
    assert np.isnan(filled.values[7]).all()
    np.testing.assert_array_equal(filled.values[::3], bare.values[::3])
    np.testing.assert_allclose(filled.values[:7, 0], [10, 11, 12, 13, 16, 19, 22], rtol=1e-6)
    np.testing.assert_allclose(filled.values[:7, 2], filled.values[:7, 0] + 40, rtol=1e-6)
    np.testing.assert_allclose(
        filled.values[:7, 4], [0.99, 0.96, 0.96, 0.96, 0.93, 0.93, 0.93], rtol=1e-6
    )


def test_nothing_is_interpolated_over_a_cut_or_an_absence() -> None:
    still, jump = [Face(A, 10)], [Face(A, 200)]
    far = [still, still, jump, jump, jump]
    assert strided(far, 2).valid.tolist() == [False, False, True, True, True]
    away = [still, still, [], still, still, still, still]
    assert strided(away, 2).valid.tolist() == [True, False, False, False, True, True, True]


def test_without_a_stride_there_is_nothing_to_interpolate() -> None:
    frames = [[Face(A, 10)], [], [Face(A, 12)]]
    assert strided(frames, 1).valid.tolist() == [True, False, True]


def test_a_cut_to_another_person_in_the_same_place_splits_the_track() -> None:
    cuts = [[Face(A, 100 + i)] for i in range(8)] + [[Face(B, 115 + i)] for i in range(7)]
    cuts += [[Face(A, 105 + i)] for i in range(8)]
    assert tracks(run(cuts)) == [[0]] * 8 + [[1]] * 7 + [[0]] * 8
    assert subjects(run(cuts)) == [A] * 8 + [-1] * 7 + [A] * 8
    sparse = run([cuts[0], *cuts], every=3)
    assert subjects(sparse) == [A] * 9 + [-1] * 7 + [A] * 8
    assert tracks(run(cuts, use_identity=False)) == [[0]] * 23


def test_a_cut_to_another_person_in_the_very_same_place_splits_the_track_in_that_frame() -> None:
    cuts = [[Face(A, 100)]] * 33 + [[Face(B, 100)]] * 41 + [[Face(A, 101)]] * 27
    made = run(cuts, every=10)
    assert tracks(made) == [[0]] * 33 + [[1]] * 41 + [[0]] * 27
    assert subjects(made) == [A] * 33 + [-1] * 41 + [A] * 27


def test_one_odd_description_splits_no_track_that_lies_still() -> None:
    for odd in (0, 3, 5):
        frames = [[Face(A, 100)] for _ in range(6)]
        frames[odd] = [Face(B, 100)]
        assert tracks(run(frames)) == [[0]] * 6


def turning(frames: int, by: float = 0.5, who: int = A) -> list[list[Face]]:
    """Someone who turns the head in so many frames, keeps it so, and turns it back."""
    way = np.linspace(0, by, frames + 1)
    turns = [*[0.0] * 30, *way, *[by] * 30, *way[::-1], *[0.0] * 30]
    return [[Face(A if turn == 0 else who, 100, turned=turn)] for turn in turns]


@pytest.mark.parametrize("frames", [3, 8, 20])
def test_a_head_that_turns_away_stays_one_track_though_it_looks_like_another(frames: int) -> None:
    made = run(turning(frames), every=10)
    assert {t for frame in tracks(made) for t in frame} == {0}
    assert made["face_track"].valid.all()


def test_a_turned_head_within_one_frame_is_another_persons() -> None:
    frames = turning(1, who=B)
    assert subjects(run(frames, every=10)) == [A] * 31 + [-1] * 32 + [A] * 31


def test_two_who_pass_each_other_are_themselves_again_but_for_a_few_frames() -> None:
    way = np.arange(120.0, -124, -4)
    passing = [[Face(A, 150 - d, side=60), Face(B, 150 + d, side=59)] for d in way]
    found = subjects(run(passing, every=5))
    assert found.count(A) >= len(found) - 5
    assert found[0] == found[-1] == A
    lost = subjects(run(passing, use_identity=False))
    assert lost[0] != lost[-1], "boxes alone take them for each other"


def test_who_stands_in_for_an_absent_person_is_not_taken_for_them() -> None:
    frames = (
        [[Face(A, 100)]] * 20 + [[]] * 5 + [[Face(B, 101)]] * 8 + [[]] * 5 + [[Face(A, 99)]] * 20
    )
    made = run(frames, every=5)
    assert subjects(made) == [A] * 20 + [-1] * 18 + [A] * 20


def test_two_who_are_seen_together_are_never_one_however_alike() -> None:
    twins = [[Face(A, 10), Face(A, 200)] for _ in range(4)]
    assert tracks(run(twins)) == [[0, 1]] * 4


def test_left_and_right_are_those_of_the_picture() -> None:
    two = [[Face(A, 300, side=50), Face(B, 10), Face(C, 150, side=20)] for _ in range(4)]
    assert subjects(run(two)) == [A] * 4
    assert subjects(run(two, subject="right")) == [A] * 4
    assert subjects(run(two, subject="left")) == [B] * 4
    assert subjects(run(two, side="left")) == [B] * 4
    assert subjects(run(two, side="right", subject="left")) == [A] * 4


def test_the_other_side_is_who_is_beside_the_main_person_not_who_is_cut_to() -> None:
    frames = [[Face(A, 100, side=60), Face(B, 300, side=20)] for _ in range(4)]
    frames += [[Face(C, 10, side=50)] for _ in range(4)]
    assert subjects(run(frames, side="right")) == [B] * 4 + [-1] * 4
    alone = [[Face(A, 100)] for _ in range(3)]
    assert subjects(run(alone, side="left")) == subjects(run(alone, side="right")) == [A] * 3


def test_an_unknown_side_is_an_error_that_names_the_clip() -> None:
    with pytest.raises(RequestError, match=r"made\.mp4: side is 'top'"):
        run([[Face(A, 1)]], side="top")


def test_corrections_say_whose_turn_it_is() -> None:
    two = [[Face(A, 10, side=60), Face(B, 200)] for _ in range(6)]
    made = run(two, corrections=[Override(1, 2, 1), Override(4, None, 1), Override(5, 5, -1)])
    assert subjects(made) == [A, B, B, A, B, -1]
    assert tracks(made) == [[0, 1]] * 6


@pytest.mark.parametrize(
    ("correction", "problem"),
    [(Override(0, 1, 7), "track 7"), (Override(0, 9, 0), "frame 9"), (Override(3, None, 0), "3")],
)
def test_corrections_that_do_not_fit_the_clip_are_refused(
    correction: Override, problem: str
) -> None:
    with pytest.raises(RequestError, match=rf"made\.mp4.*{problem}"):
        run([[Face(A, 10)] for _ in range(3)], corrections=[correction])


def test_clips_without_frames_or_faces_have_as_many_rows_as_frames() -> None:
    for frames in ([], [[], []]):
        made = run(frames)
        assert made["face_track"].values.shape == (len(frames), 15)
        assert not made["face_track"].valid.any()
        assert made["tracks"].rows == len(frames)
        assert made["tracks"].values.shape == (0,)


def test_rows_start_where_the_faces_do() -> None:
    made = run([[Face(A, 1)]])
    assert made["face_track"].t0 == made["tracks"].t0 == 0.5


def test_frames_that_the_detector_passed_over_are_no_absence() -> None:
    faces, _ = scene([[Face(A, 10)], [], [], [Face(A, 14)], [], [], [Face(A, 18)]])
    strided = Rows(faces.values, np.arange(7) % 3 == 0, 0.0, offsets=faces.offsets)
    extractor = FaceTrack(FaceTrack.Params(use_identity=False, gap=0))
    made = extractor.extract(Batch(NO_MEDIA, inputs={"faces": strided}))
    assert made["tracks"].values.tolist() == [0, 0, 0]
    assert made["tracks"].valid.tolist() == strided.valid.tolist()


def test_numbers_of_other_detections_are_refused() -> None:
    faces, _ = scene([[Face(A, 10)]])
    _, other = scene([[Face(A, 10), Face(B, 90)]])
    with pytest.raises(RequestError, match="one detector"):
        FaceTrack(FaceTrack.Params()).extract(
            Batch(NO_MEDIA, inputs={"faces": faces, "identity": other})
        )


FACE = st.builds(
    Face,
    st.integers(1, 4),
    st.integers(0, 300).map(float),
    st.integers(0, 100).map(float),
    st.integers(5, 90).map(float),
    st.sampled_from([0.7, 0.9, 0.99]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(FACE, max_size=4), max_size=12), st.integers(1, 4))
def test_what_holds_for_every_scene(frames: list[list[Face]], every: int) -> None:
    made = run(frames, every=every)
    again = run(frames, every=every)
    numbers = tracks(made)
    assert numbers == tracks(again)
    assert made["face_track"].values.tobytes() == again["face_track"].values.tobytes()
    seen = [t for frame in numbers for t in frame]
    assert list(dict.fromkeys(seen)) == list(range(len(set(seen))))
    rows, chosen = made["face_track"], set[int]()
    for frame, names, row, valid in zip(frames, numbers, rows.values, rows.valid, strict=True):
        assert len(set(names)) == len(names)
        if valid:
            places = [f.x == row[0] and f.y == row[1] and f.side == row[2] - row[0] for f in frame]
            chosen.add(names[places.index(True)] if sum(places) == 1 else -1)
            assert row[4] >= np.float32(0.9)
    assert len(chosen - {-1}) <= 1


def test_a_crowd_takes_no_longer_than_its_clip() -> None:
    import time

    rng = np.random.default_rng(3)
    frames = [
        [Face(i, 60 * i + 8 * rng.normal(), 50, 40) for i in range(1, 40) if rng.random() < 0.7]
        for _ in range(250)
    ]
    began = time.process_time()
    made = run(frames, every=10)
    assert time.process_time() - began < 10
    assert len(set(made["tracks"].values.tolist())) < 60


def of_clip(path: Path, step: int, most: int) -> dict[str, Rows]:
    """Both features of every k-th frame of a real clip."""
    return of_frames(every(path, step, most))


def of_frames(frames: NDArray[np.uint8]) -> dict[str, Rows]:
    """Both features of frames, of which every third is described."""
    detector, describer = Faces(Faces.Params()), Identity(Identity.Params(every=3))
    detector.setup("cpu")
    describer.setup("cpu")
    faces = detector.extract(batch_of(frames))
    identity = describer.extract(batch_of(frames, faces=faces))
    inputs = {"faces": faces, "identity": identity}
    return FaceTrack(FaceTrack.Params()).extract(Batch(NO_MEDIA, inputs=inputs))


@pytest.mark.media
def test_of_three_people_the_subject_stays_the_same(media: Path) -> None:
    made = of_clip(media / "a07_three_people_no_audio.mp4", 4, 8)
    assert made["face_track"].valid.all()
    assert np.ptp(made["face_track"].values[:, 0]) < 20
    assert sorted(set(made["tracks"].values.tolist())) == [0, 1, 2]


@pytest.mark.media
def test_the_singer_is_the_same_before_and_after_the_cut_to_others(media: Path) -> None:
    made = of_clip(media / "a06_stage_dark_profile_many_faces.mp4", 5, 55)
    rows = made["face_track"]
    # the stage, a man in profile, the stage from near, people at tables
    assert rows.valid[:4].all()
    assert not rows.valid[4:16].any()
    assert rows.valid[18:42].mean() > 0.9
    assert not rows.valid[43:].any()


def framed(path: Path, step: int, most: int) -> NDArray[np.uint8]:
    """Frames of a clip with one person, 160 x 160, whose face always has the same place."""
    frames = every(path, step, most)
    detector = Faces(Faces.Params())
    detector.setup("cpu")
    x0, y0, x1, y1 = largest(detector.extract(batch_of(frames[:1]))).values[0, :4]
    scale = 65 / (y1 - y0)
    shift = 80 - scale * np.array([x0 + x1, y0 + y1]) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    made = [cv2.warpAffine(f, matrix, (160, 160), flags=cv2.INTER_AREA) for f in frames]
    return np.stack(made).astype(np.uint8)


@pytest.mark.media
def test_a_real_cut_to_another_face_in_the_same_place_ends_the_track_in_that_frame(
    media: Path,
) -> None:
    one = framed(media / "a10_man_talking_vfr.mp4", 2, 26)
    other = framed(media / "a11_grid_bbaf2n.mpg", 2, 17)
    made = of_frames(np.concatenate([one[:17], other, one[17:]]))
    assert tracks(made) == [[0]] * 17 + [[1]] * 17 + [[0]] * 9


@pytest.mark.media
def test_a_face_that_leaves_is_followed_by_invalid_rows(media: Path) -> None:
    made = of_clip(media / "a03_face_then_noface_vfr_hevc.mov", 12, 14)
    assert made["face_track"].valid.tolist() == [True] * 6 + [False] * 8


def test_the_golden_scene_gives_the_golden_tracks() -> None:
    kept = json.loads(golden_path(FaceTrack).read_text())
    assert golden_digest() == kept["sha256"], "the tracks changed: bump the version of face_track"


def golden_digest() -> str:
    """Of both features of a made scene with cuts, one within a place, an absence and a crowd."""
    rng = np.random.default_rng(7)
    frames = [
        [
            Face(
                6 if who == 4 and i > 36 else who,
                float(60 * who + (40 if i > 30 else 0) + rng.integers(-3, 4)),
                side=30.0 + who,
            )
            for who in range(1, 6)
            if not (who == 2 and 10 < i < 40) and rng.random() < 0.9
        ]
        for i in range(60)
    ]
    made = run(frames, every=5)
    return hashlib.sha256(
        b"".join(rows.values.tobytes() + rows.valid.tobytes() for rows in made.values())
    ).hexdigest()


def test_the_defaults_that_keys_leave_out_are_these() -> None:
    assert FaceTrack.declaration.version == 3  # type: ignore[attr-defined]
    assert FaceTrack.declaration.inputs == {"faces": "faces", "identity": "identity"}  # type: ignore[attr-defined]
    assert FaceTrack.Params().model_dump() == {
        "min_score": 0.9,
        "subject": "main",
        "overlap": 0.3,
        "gap": 15,
        "same": 0.5,
        "use_identity": True,
        "interpolate": False,
    }, "a default changed: bump the version of face_track"
