"""Several faces: which is whose, and all of them."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

import features
from features.extractor import Batch
from features.media.media import Media
from features.openface.multi import OpenFaceMulti
from features.openface.pick import all_faces, pick_rows
from features.openface.place import Placing, Span, place_rows
from features.openface.settings import PREFIX
from features.openface.single import FACES, ROWS, OpenFace
from features.openface.table import Table, read_table
from features.spec import Rows
from tests.containers.replay import A02, Programs
from tests.features.openface_kit import cells, reference, text_of

X, Y = slice(299, 367), slice(367, 435)
NARROW = 200.0


def faces_at(*faces: tuple[int, int, float, float]) -> Table:
    """A table with (frame, face_id, x, y) of made faces."""
    values = np.zeros((len(faces), 714), np.float32)
    for row, (frame, number, x, y) in enumerate(faces):
        values[row, [0, 1, 3, 4]] = frame + 1, number, 0.98, 1
        values[row, X], values[row, Y] = x, y
    return Table(values, np.array([f[0] for f in faces], np.int64), True, 714, ())


def track_at(*boxes: tuple[float, float, float, float] | None) -> Rows:
    values = np.full((len(boxes), 15), np.nan, np.float32)
    for row, box in enumerate(boxes):
        if box:
            values[row, :4] = box
    return Rows(values, np.array([box is not None for box in boxes]))


def test_the_face_in_the_tracks_box_is_picked_whatever_its_number() -> None:
    table = faces_at((0, 0, 50, 50), (0, 1, 250, 50), (1, 0, 251, 50), (1, 1, 51, 50))
    picked = pick_rows(
        table, track_at((200, 0, 300, 100), (200, 0, 300, 100)), Span(0, 2, 2, 0.0), 0.8
    )
    np.testing.assert_array_equal(picked.face, [1, 0])
    np.testing.assert_array_equal(picked.rows.values[:, X.start], [250, 251])
    assert picked.rows.valid.all()


def test_of_two_faces_in_the_box_the_nearer_to_its_centre_is_picked() -> None:
    table = faces_at((0, 0, 210, 50), (0, 1, 245, 55))
    picked = pick_rows(table, track_at((200, 0, 300, 100)), Span(0, 1, 1, 0.0), 0.8)
    assert picked.face[0] == 1


def test_without_a_track_or_a_face_in_its_box_the_row_is_nan() -> None:
    table = faces_at((0, 0, 50, 50), (1, 0, 50, 50))
    picked = pick_rows(table, track_at(None, (200, 0, 300, 100)), Span(0, 2, 2, 0.0), 0.8)
    assert np.isnan(picked.rows.values).all()
    assert not picked.rows.valid.any()
    np.testing.assert_array_equal(picked.face, [-1, -1])


def test_all_faces_are_kept_by_frame_and_number() -> None:
    table = faces_at((2, 1, 1, 1), (2, 0, 2, 2), (0, 3, 3, 3))
    rows = all_faces(table, Span(0, 4, 4, 0.5))
    assert rows.offsets is not None
    np.testing.assert_array_equal(rows.offsets, [0, 1, 1, 3, 3])
    np.testing.assert_array_equal(rows.values[:, 1], [3, 0, 1])
    assert rows.valid.all()
    assert all_faces(faces_at(), Span(0, 2, 2, 0.0)).rows == 2


@pytest.fixture
def two(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip for which the program finds its real face, and the same 200 px further right."""
    programs = Programs.make(tmp_path / "bin")
    monkeypatch.setenv(f"{PREFIX}BINARY", str(programs.binary))
    clip = programs.replay(media / f"{A02}.mp4", A02, faces=72, second_face=True)
    sha = hashlib.sha256(clip.read_bytes()).hexdigest()
    header, *rows = text_of(A02).splitlines()
    doubled = [header]
    for row in rows:
        fields = row.split(",")
        moved = [
            str(float(v) + NARROW) if X.start <= i < X.stop else v for i, v in enumerate(fields)
        ]
        doubled += [row, ",".join([moved[0], "1", *moved[2:]])]
    target = programs.folder / "replay" / f"{sha}.multi.csv.gz"
    target.write_bytes(gzip.compress(("\n".join(doubled) + "\n").encode(), 1))
    return clip


@pytest.mark.media
def test_the_multi_program_gives_every_face(two: Path) -> None:
    rows = features.extract("openface_multi", two)
    assert rows.offsets is not None
    np.testing.assert_array_equal(np.diff(rows.offsets), np.full(72, 2))
    np.testing.assert_array_equal(rows.values[::2], cells(A02)[1])
    assert OpenFaceMulti.outputs[0].groups == OpenFace.outputs[0].groups


@pytest.mark.media
@pytest.mark.parametrize("moved", [0.0, NARROW])
def test_the_rows_and_faces_are_those_of_whom_the_track_follows(two: Path, moved: float) -> None:
    _, values = cells(A02)
    x, y = values[:, X] + np.float32(moved), values[:, Y]
    boxes = np.full((72, 15), np.nan, np.float32)
    boxes[:, :4] = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], 1)
    times = Rows(np.arange(72) / 30.0, np.ones(72, bool))
    inputs = {"timeline": times, "track": Rows(boxes, np.ones(72, bool))}
    extractor = OpenFace(OpenFace.Params(face="track"))
    made = extractor.extract(Batch(Media(str(two)), inputs=inputs, wanted=(ROWS, FACES)))
    np.testing.assert_allclose(made[ROWS].values[:, X], x, atol=1e-3)
    np.testing.assert_array_equal(made[ROWS].values[:, 1], np.full(72, bool(moved)))
    blue = np.arange(72) if not moved else 255 - np.arange(72)
    np.testing.assert_array_equal(made[FACES].values[:, 0, 0, 2], blue)


def test_a_track_is_read_only_where_it_decides() -> None:
    assert OpenFace.inputs_for(OpenFace.Params()) == ("timeline",)
    assert OpenFace.inputs_for(OpenFace.Params(face="track")) == ("timeline", "track")
    with pytest.raises(ValueError, match="one face only"):
        OpenFace.Params(face="track", source="imported")


@pytest.mark.media
def test_golden_rows_of_real_output() -> None:
    """Another digest means other numbers: raise the version of openface, then record it."""
    table = read_table(reference("gap"))
    rows = place_rows("gap", table, Span(0, 150, 150, 0.0), Placing(0.8, "pad", 0.05))
    assert hashlib.sha256(rows.digest.astype("<u8").tobytes()).hexdigest()[:16] == GOLDEN


GOLDEN = "3fd8d71ff753f2f9"
