"""What OpenFace may do besides what it should, run as a program: each ends in words to act on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import features
from features.errors import FeatureError
from features.extractor import Batch
from features.media.media import Media
from features.openface import errors
from features.openface.settings import PREFIX
from features.openface.single import ROWS, OpenFace
from features.spec import Rows
from tests.containers.replay import A02, Programs
from tests.features.openface_kit import cells, ends

pytestmark = pytest.mark.media


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        ("flood", errors.TimedOut, "still running after 1 s"),
        ("fill", errors.TooMuchOutput, r"wrote more than 66 MiB.*OPENFACE_SPACE"),
        ("exit 139", errors.Crashed, r"code 139 \(segmentation fault\).*re-encode"),
        ("killed", errors.OutOfMemory, r"was killed after .*for want of memory; run fewer"),
    ],
)
def test_a_program_that_goes_wild_is_stopped_and_told(
    behaviour: str,
    kind: type[FeatureError],
    said: str,
    programs: Programs,
    a02: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}SECONDS", "1" if behaviour == "flood" else "60")
    monkeypatch.setenv(f"{PREFIX}FACTOR", "0")
    monkeypatch.setenv(f"{PREFIX}SPACE", "1")
    programs.replay(a02, A02, behaviour=behaviour)
    with pytest.raises(kind, match=said) as caught:
        features.extract("openface", a02)
    assert 0 < len(caught.value.log) <= 8192


def test_children_that_a_program_leaves_behind_end_with_it(
    programs: Programs, a02: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}SECONDS", "30")
    monkeypatch.setenv(f"{PREFIX}FACTOR", "0")
    programs.replay(a02, A02, behaviour="children")
    assert features.extract("openface", a02).valid.all(), "it doesn't wait for the children"
    child = int((programs.folder / "child").read_text())
    assert ends(child)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (r"s/,0\.98,/,0,98,/", r"715 values, the header 714 columns: decimal commas.*LC_ALL=C"),
        ("1!s/^[0-9]*,/7,/", r"several rows of frame 7"),
        ("1!s/^[0-9]*,/inf,/", "frame holds no whole numbers"),
        ("1!d", "0 rows, the timeline 72 frames"),
        ("1d", "no CSV of OpenFace"),
        (r"5s/,0\.98,/,0.\xff,/", "line 5, column confidence holds"),
        (r"s/,/;/g", "must be separated by commas"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_the_place(
    edit: str, said: str, programs: Programs, a02: Path
) -> None:
    programs.replay(a02, A02, behaviour=f"edit {edit}")
    with pytest.raises((errors.BadCsv, errors.RowsMismatch), match=said):
        features.extract("openface", a02)


def test_windows_line_ends_make_no_difference(programs: Programs, a02: Path) -> None:
    programs.replay(a02, A02, behaviour="edit s/$/\\r/")
    np.testing.assert_array_equal(features.extract("openface", a02).values, cells(A02)[1])


def test_values_that_are_no_numbers_stay_what_they_are(programs: Programs, a02: Path) -> None:
    programs.replay(a02, A02, behaviour=r"edit 2s/,[^,]*$/,-nan(ind)/; 3s/,[^,]*$/,inf/")
    rows = features.extract("openface", a02)
    assert np.isnan(rows.values[0, -1])
    assert rows.values[1, -1] == np.inf
    np.testing.assert_array_equal(rows.values[2:], cells(A02)[1][2:])
    assert rows.valid.all()


def test_a_row_whose_confidence_is_no_number_is_invalid(programs: Programs, a02: Path) -> None:
    programs.replay(a02, A02, behaviour=r"edit 4s/,0\.98,/,nan,/")
    rows = features.extract("openface", a02)
    np.testing.assert_array_equal(np.flatnonzero(~rows.valid), [2])


@pytest.mark.parametrize(
    "name", ["-rf a b.mp4", "ä 'é\" \U0001f600.mp4", "frame_%05d.mp4", "a,b.mp4"]
)
def test_a_files_name_means_nothing_to_the_program(
    name: str, programs: Programs, a02: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some where"
    folder.mkdir()
    (folder / name).symlink_to(a02)
    programs.replay(a02, A02)
    assert features.extract("openface", folder / name).valid.all()


def test_where_nothing_can_be_written_it_says_so(
    programs: Programs, a02: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.replay(a02, A02)
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(errors.NoPlace, match="set TMPDIR"):
        features.extract("openface", a02)


def rows_of(path: Path, times: NDArray[np.float64], first: int, stop: int) -> Rows:
    """The rows of a cut, by an extractor that isn't told to let go of what it keeps."""
    until = float(times[stop]) if stop < len(times) else None
    media = Media(str(path), float(times[first]), until)
    line = Rows(times[first:stop], np.ones(stop - first, bool), float(times[first]))
    batch = Batch(media, inputs={"timeline": line}, wanted=(ROWS,))
    return OpenFace(OpenFace.Params()).extract(batch)[ROWS]


def test_the_cuts_of_a_file_share_a_run_and_its_failure(programs: Programs, a02: Path) -> None:
    (programs.folder / "probe").write_text("echo run >> $here/runs\n")
    programs.replay(a02, A02)
    times = features.extract("timeline", a02).values
    for first, stop in ((0, 20), (20, 45), (45, 72)):
        rows = rows_of(a02, times, first, stop)
        np.testing.assert_array_equal(rows.values, cells(A02)[1][first:stop])
    assert (programs.folder / "runs").read_text() == "run\n"
    OpenFace.release()
    programs.replay(a02, A02, behaviour="exit 3")
    for first in (0, 30):
        with pytest.raises(errors.Crashed, match=f"{A02}.mp4: FeatureExtraction ended with code 3"):
            rows_of(a02, times, first, first + 10)
    OpenFace.release()
    assert (programs.folder / "runs").read_text() == "run\nrun\n"


def test_nothing_stays_behind_in_the_folder_for_temporary_files(
    programs: Programs, a02: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.replay(a02, A02)
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    features.extract("openface", a02)
    assert [name for name in os.listdir(place) if "run" in name] == []
