"""facemesh_714: OpenFace's columns without OpenFace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import RequestError
from features.extractor import Batch
from features.facemesh_714 import PROVENANCE, Facemesh714, eye_landmarks
from features.mesh import points as at
from features.openface_columns import COLUMNS_714, GROUPS
from features.spec import Rows
from tests.features.face_frames import NO_MEDIA
from tests.features.mesh_goldens import (
    FRAMES,
    golden_714,
    golden_gaze,
    golden_landmarks,
    golden_mesh,
    golden_pose,
    load,
)


def named(row: int = 0) -> dict[str, float]:
    return dict(zip(COLUMNS_714, golden_714().values[row].tolist(), strict=True))


def group(name: str) -> Any:
    return golden_714().values[:, slice(*GROUPS[name])]


def test_the_golden_mesh_gives_the_golden_columns() -> None:
    difference = np.abs(golden_714().values - load(Facemesh714))
    assert np.isnan(difference).mean() < 0.25
    assert np.nanmax(difference) < 0.05, "facemesh_714 differs: bump the version and make it anew"


def test_names_and_order_are_those_of_an_openface_row() -> None:
    spec = Facemesh714.outputs[0]
    assert spec.columns == COLUMNS_714
    assert spec.dims == (714,)


def test_pose_and_gaze_are_those_of_their_features() -> None:
    assert np.array_equal(group("pose"), golden_pose().values[:, :6])
    assert np.array_equal(group("gaze"), golden_gaze().values)


def test_landmarks_are_the_meshs_and_their_places_project_onto_them() -> None:
    made = group("landmarks").reshape(FRAMES, 5, 68)
    assert np.allclose(made[:, :2].transpose(0, 2, 1), golden_landmarks().values, atol=0.011)
    pose = golden_pose().values[0]
    assert np.allclose(made[0, 2] / made[0, 4] * pose[6] + pose[7], made[0, 0], atol=1e-2)
    assert np.allclose(made[0, 3] / made[0, 4] * pose[6] + pose[8], made[0, 1], atol=1e-2)


def test_bookkeeping_counts_frames_from_one_and_takes_the_timelines_seconds() -> None:
    assert group("bookkeeping")[:, [0, 1, 3, 4]].tolist() == [[4, 0, 0.75, 1], [5, 0, 0.75, 1]]
    assert np.allclose(group("bookkeeping")[:, 2], [2.5, 2.54])
    assert golden_714().t0 == 2.5


def test_what_the_mesh_cannot_know_is_nan_and_nothing_else_is() -> None:
    unknown = {name for name, value in named().items() if np.isnan(value)}
    units = {n for g in ("pdm", "au_r", "au_c") for n in COLUMNS_714[slice(*GROUPS[g])]}
    pupils = {
        f"eye_lmk_{axis}_{28 * eye + i}"
        for axis in "xyXYZ"
        for eye in (0, 1)
        for i in range(20, 28)
    }
    assert unknown == units | pupils
    assert len(unknown) == 155


def test_every_group_says_where_its_values_come_from() -> None:
    assert set(PROVENANCE) == set(GROUPS)
    for name, text in PROVENANCE.items():
        assert text.startswith("NaN") == bool(np.isnan(group(name)).all())


def test_eye_landmarks_run_as_openfaces_do() -> None:
    mesh = golden_mesh().values[0].astype(np.float64)
    eyes = eye_landmarks(mesh)[:, :2].reshape(2, 28, 2)
    for eye, (left, right) in zip(
        eyes, ((at.LEFT_OUTER, at.LEFT_INNER), (at.RIGHT_INNER, at.RIGHT_OUTER)), strict=True
    ):
        iris, lids = eye[:8], eye[8:20]
        # the edge starts at the image's left and goes up
        assert iris[:, 0].argmin() == 0
        assert iris[:, 1].argmin() == 2
        assert iris[:, 0].argmax() == 4
        assert iris[:, 1].argmax() == 6
        assert np.allclose(lids[0], mesh[left, :2])
        assert np.allclose(lids[6], mesh[right, :2])
        assert (np.diff(lids[:7, 0]) > 0).all()
        assert (np.diff(lids[6:, 0]) < 0).all()
        assert (lids[1:6, 1] < lids[:6:-1, 1]).all()


@pytest.mark.media
def test_the_order_is_that_of_a_real_openface_row(media: Path) -> None:
    reference = media.parent / "reference" / "openface" / "a02_single_face_mp3_in_mp4.csv.gz"
    rows = np.genfromtxt(reference, delimiter=",", skip_header=1)
    real = rows[0, slice(*GROUPS["eye_landmarks"])].reshape(5, 2, 28)
    ours = group("eye_landmarks")[0].reshape(5, 2, 28)
    for axis in (0, 1):
        for eye in (0, 1):
            known = slice(0, 20)
            # the same walk round iris and lids, up to place and size
            assert np.corrcoef(real[axis, eye, known], ours[axis, eye, known])[0, 1] > 0.9


def test_a_row_that_lacks_anything_is_nan_and_invalid() -> None:
    pose = golden_pose()
    pose.values[1], pose.valid[1] = np.nan, False
    score = Rows(np.full(FRAMES, 0.75, np.float32), np.ones(FRAMES, bool))
    inputs = {"mesh": golden_mesh(), "score": score, "pose": pose, "gaze": golden_gaze()}
    made = Facemesh714(Facemesh714.Params()).extract(
        Batch(NO_MEDIA, 0, np.arange(FRAMES) / 25, None, inputs)
    )
    assert made.valid.tolist() == [True, False]
    assert np.isnan(made.values[1]).all()


def test_no_frames_give_no_rows() -> None:
    score = Rows(np.zeros(0, np.float32), np.zeros(0, bool))
    inputs = {"mesh": golden_mesh(), "pose": golden_pose(), "gaze": golden_gaze()}
    none = {slot: rows.slice(0, 0) for slot, rows in inputs.items()} | {"score": score}
    made = Facemesh714(Facemesh714.Params()).extract(Batch(NO_MEDIA, inputs=none))
    assert made.values.shape == (0, 714)


def test_rows_of_another_kind_are_refused_with_what_to_bind() -> None:
    score = Rows(np.full(FRAMES, 0.75, np.float32), np.ones(FRAMES, bool))
    inputs = {"mesh": golden_landmarks(), "score": score, "pose": golden_pose()}
    batch = Batch(NO_MEDIA, 0, np.zeros(FRAMES), None, inputs | {"gaze": golden_gaze()})
    with pytest.raises(RequestError, match="bind it to face_mesh"):
        Facemesh714(Facemesh714.Params()).extract(batch)
