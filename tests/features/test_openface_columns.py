"""The 714 columns, held to the list that goes with real OpenFace output."""

from __future__ import annotations

import pytest

from features.openface_columns import COLUMNS_714, GROUP_UNITS, GROUPS
from tests.conftest import SHARED


def test_there_are_714_distinct_columns() -> None:
    assert len(COLUMNS_714) == len(set(COLUMNS_714)) == 714


@pytest.mark.media
def test_columns_are_those_of_real_output_in_its_order() -> None:
    text = (SHARED / "reference" / "openface" / "columns_714.txt").read_text()
    assert list(COLUMNS_714) == text.split()


def test_groups_cover_every_column_once() -> None:
    covered = [i for start, stop in GROUPS.values() for i in range(start, stop)]
    assert covered == list(range(714))
    assert set(GROUP_UNITS) == set(GROUPS)


@pytest.mark.parametrize(
    ("group", "first", "last", "count"),
    [
        ("bookkeeping", "frame", "success", 5),
        ("gaze", "gaze_0_x", "gaze_angle_y", 8),
        ("eye_landmarks", "eye_lmk_x_0", "eye_lmk_Z_55", 280),
        ("pose", "pose_Tx", "pose_Rz", 6),
        ("landmarks", "x_0", "Z_67", 340),
        ("pdm", "p_scale", "p_33", 40),
        ("au_r", "AU01_r", "AU45_r", 17),
        ("au_c", "AU01_c", "AU45_c", 18),
    ],
)
def test_group_starts_and_stops_where_its_names_do(
    group: str, first: str, last: str, count: int
) -> None:
    start, stop = GROUPS[group]
    assert (COLUMNS_714[start], COLUMNS_714[stop - 1], stop - start) == (first, last, count)
