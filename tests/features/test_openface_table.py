"""Reading OpenFace's CSV files, held to real output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.openface.errors import BadCsv
from features.openface.table import read_table
from features.openface_columns import COLUMNS_714, GROUPS
from tests.features.openface_kit import CLIPS, cells, kept, reference, text_of

pytestmark = pytest.mark.media

NAME = "a02_single_face_mp3_in_mp4"
BOOKKEEPING = COLUMNS_714[slice(*GROUPS["bookkeeping"])]
EYES = COLUMNS_714[slice(*GROUPS["eye_landmarks"])]
ADDED_IN_21 = {"face_id", "gaze_angle_x", "gaze_angle_y"}
LAYOUTS = {
    714: list(COLUMNS_714),
    711: [c for c in COLUMNS_714 if c not in ADDED_IN_21],
    709: [c for c in COLUMNS_714 if c not in BOOKKEEPING],
    431: [c for c in COLUMNS_714 if c not in ADDED_IN_21 | set(EYES)],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clip.csv"


@pytest.mark.parametrize("name", [*CLIPS, "gap"])
def test_real_files_are_read_value_by_value(name: str) -> None:
    table = read_table(reference(name))
    header, expected = cells(name)
    assert (table.layout, table.missing, header) == (714, (), list(COLUMNS_714))
    np.testing.assert_array_equal(table.values, expected)
    np.testing.assert_array_equal(table.frame, np.arange(len(expected)))


@pytest.mark.parametrize("separator", [",", ", "])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_separator_fills_the_columns_that_it_has(
    layout: int, separator: str, file: Path
) -> None:
    columns = LAYOUTS[layout]
    assert len(columns) == layout
    file.write_text(kept(NAME, columns, separator))
    table = read_table(file)
    whole = read_table(reference(NAME))
    there = [c in columns for c in COLUMNS_714]
    np.testing.assert_array_equal(table.values[:, there], whole.values[:, there])
    assert np.isnan(table.values[:, ~np.array(there)]).all()
    assert (table.layout, set(table.missing)) == (layout, set(COLUMNS_714) - set(columns))
    np.testing.assert_array_equal(table.frame, whole.frame)


def test_a_row_is_valid_by_success_and_confidence() -> None:
    table = read_table(reference("a03_face_then_noface_vfr_hevc"))
    header, values = cells("a03_face_then_noface_vfr_hevc")
    success, confidence = values[:, header.index("success")], values[:, header.index("confidence")]
    expected = (success == 1) & (confidence >= np.float32(0.8))
    assert 0 < expected.sum() < (success == 1).sum(), "it has unsure rows with success 1"
    np.testing.assert_array_equal(table.valid(0.8), expected)


def test_no_row_without_a_face_is_valid() -> None:
    assert not read_table(reference("a04_no_face")).valid(0.8).any()


def test_without_bookkeeping_only_rows_of_zeros_are_invalid(file: Path) -> None:
    file.write_text(kept("gap", LAYOUTS[709]))
    table, whole = read_table(file), read_table(reference("gap"))
    assert not table.numbered
    before = np.flatnonzero(whole.column("x_0") != 0)[0]
    body = np.abs(whole.values[:, 5:]).sum(1)
    np.testing.assert_array_equal(table.valid(0.8), body > 0)
    assert before > 0


def test_a_file_that_counts_from_zero_keeps_its_first_frame(file: Path) -> None:
    header, *rows = text_of(NAME).splitlines()
    shifted = [f"{i}," + row.split(",", 1)[1] for i, row in enumerate(rows)]
    file.write_text("\n".join([header, *shifted]) + "\n")
    np.testing.assert_array_equal(read_table(file).frame, np.arange(72))


@pytest.mark.parametrize("sign", ["-nan(ind)", "1.#QNAN", "nan", "-nan"])
def test_what_compilers_call_no_number_is_nan(sign: str, file: Path) -> None:
    header, first, *rest = text_of(NAME).splitlines()
    fields = first.split(",")
    fields[5] = sign
    file.write_text("\n".join([header, ",".join(fields), *rest]) + "\n")
    table = read_table(file)
    assert np.isnan(table.values[0, 5])
    assert np.isfinite(table.values[1:]).all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: t[:-3], "stops in the middle of line 73"),
        (lambda t: t[: len(t) // 2].rsplit(",", 3)[0] + "\n", "values, the header 714 columns"),
        (lambda t: "", "is empty"),
        (lambda t: "time,mood\n1,2\n", "no CSV of OpenFace"),
        (lambda t: t.replace(",0.98,", ",good,", 1), "column confidence holds 'good'"),
        (lambda t: t.replace("face_id", "frame", 1), "column frame twice"),
        (lambda t: t.replace("\n1,", "\n1.5,", 1), "frame holds no whole numbers"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(damage: object, said: str, file: Path) -> None:
    assert callable(damage)
    file.write_text(damage(text_of(NAME)))
    with pytest.raises(BadCsv, match=said):
        read_table(file)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.csv.gz"
    path.write_bytes(reference(NAME).read_bytes()[:5000])
    with pytest.raises(BadCsv, match="can't be read"):
        read_table(path)
