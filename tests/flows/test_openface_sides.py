"""A recording of two people, as Aff-Wild2 has them: each clip gets its own person's rows."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from features.faces import DETECTION_COLUMNS
from features.openface_columns import GROUPS
from flows.pipeline import Settings
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from tests.containers.replay import A02, Programs
from tests.features.openface_kit import cells, text_of
from tests.flows.openface_kit import failures, ingested

pytestmark = pytest.mark.media

FRAMES = 72
#: how far the second face is to the right of the first, px
APART = 200.0
X = slice(GROUPS["landmarks"][0], GROUPS["landmarks"][0] + 68)
Y = slice(X.stop, X.stop + 68)
TRACK: Settings = {
    "openface": {"face": "track"},
    "faces": {"backend": "provided"},
    "face_track": {"use_identity": False},
}


def doubled() -> str:
    """The real rows, and as face 1 the same further right; numbers change places midway."""
    header, *rows = text_of(A02).splitlines()
    lines = [header]
    for frame, row in enumerate(rows):
        one, other = row.split(","), row.split(",")
        other[X] = [str(float(v) + APART) for v in other[X]]
        swap = frame >= FRAMES // 2
        one[1], other[1] = str(int(swap)), str(int(not swap))
        lines += sorted([",".join(one), ",".join(other)], key=lambda line: line.split(",")[1])
    return "\n".join(lines) + "\n"


def boxes() -> str:
    """Both faces' boxes in every frame, with eyes, nose and mouth."""
    _, values = cells(A02)
    rows = [",".join(("frame", *DETECTION_COLUMNS))]
    for frame in range(FRAMES):
        for moved in (0.0, APART):
            x, y = values[frame, X] + moved, values[frame, Y]
            points = [
                (x[i].mean(), y[i].mean()) for i in (slice(36, 42), slice(42, 48), 30, 48, 54)
            ]
            box = [x.min(), y.min(), x.max(), y.max(), 1.0, *np.ravel(points)]
            rows.append(",".join([str(frame), *(f"{v:.3f}" for v in box)]))
    return "\n".join(rows) + "\n"


@pytest.fixture
def store(programs: Programs, tmp_path: Path, media: Path) -> FeatureStore:
    """Two clips of one medium, of the person on the left and of the one on the right."""
    clip = programs.replay(media / f"{A02}.mp4", A02, faces=FRAMES, second_face=True)
    sha = hashlib.sha256(clip.read_bytes()).hexdigest()
    target = programs.folder / "replay" / f"{sha}.multi.csv.gz"
    target.write_bytes(gzip.compress(doubled().encode(), 1))
    (programs.folder / "probe").write_text("echo $program >> $here/runs\n")
    (tmp_path / "boxes.csv").write_text(boxes())
    table = tmp_path / "clips.csv"
    lines = [f"v_{side},{clip},{side},boxes.csv" for side in ("left", "right")]
    table.write_text("\n".join(["clip_id,path,attr.side,asset.boxes", *lines]) + "\n")
    return ingested(tmp_path / "store", table)


def test_each_person_has_their_own_rows_and_faces_from_one_run(
    store: FeatureStore, programs: Programs
) -> None:
    asked = Request(store.root, "openface,openface_face_112", settings=TRACK)
    summary = extract_plain(asked)
    assert summary.complete, summary.failures
    _, real = cells(A02)
    second = np.arange(FRAMES) >= FRAMES // 2
    for side, moved in (("left", 0.0), ("right", APART)):
        rows, faces = (
            store.read_result(r)
            for feature in ("openface", "openface_face_112")
            for r in store.published(features=[feature], clips=[f"v_{side}"])
        )
        np.testing.assert_allclose(rows.values[:, X], real[:, X] + moved, atol=1e-3)
        assert rows.valid.all()
        number = second if side == "left" else ~second
        np.testing.assert_array_equal(rows.values[:, 1], number)
        shade = np.arange(FRAMES)
        blue = np.where(number, 255 - shade, shade)
        np.testing.assert_array_equal(faces.values[:, 0, 0, 2], blue)
    assert (programs.folder / "runs").read_text() == "FaceLandmarkVidMulti\n"


def test_without_the_track_a_persons_clip_is_refused(
    store: FeatureStore, programs: Programs
) -> None:
    said = failures(extract_plain(Request(store.root, "openface")))
    assert said["v_left"].startswith("openface_which_face: ")
    assert "of the person on the left" in said["v_left"]
    assert "openface.face=track" in said["v_right"]
    assert not (programs.folder / "runs").exists()
