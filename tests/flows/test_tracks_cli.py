"""tracks show, override and clear, on two made clips of two faces each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

from corpora.adapters import load
from features.errors import RequestError
from flows.cli import commands
from flows.cli.app import app
from flows.corrections import override_tracks
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import ffmpeg

assert commands
ASKED = "face_track,tracks"
Words = Callable[..., str]


def two_faces(path: Path, shift: int) -> None:
    """Half a second of one portrait twice, the larger on the left."""
    portrait = np.asarray(data.astronaut(), np.uint8)[:200, 100:340, ::-1]  # type: ignore[no-untyped-call]
    picture = np.full((240, 400, 3), 90, np.uint8)
    picture[20:220, shift : shift + 240] = portrait
    picture[20:120, 270:390] = cv2.resize(portrait, (120, 100), interpolation=cv2.INTER_AREA)
    still = path.with_suffix(".bmp")
    cv2.imwrite(str(still), picture)
    ffmpeg("-loop", "1", "-r", "10", "-i", str(still), "-t", "0.5", "-pix_fmt", "yuv420p",
           "-c:v", "libx264", str(path))  # fmt: skip
    still.unlink()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clips and a store with their tracks."""
    folder = tmp_path_factory.mktemp("tracks")
    (folder / "media").mkdir()
    for name, shift in (("one", 0), ("two", 10)):
        two_faces(folder / "media" / f"{name}.mp4", shift)
    store = FeatureStore.create(folder / "store")
    ingest_manifest(store, load(None, str(folder / "media"), "c"))
    assert extract_plain(Request(str(folder / "store"), ASKED)).complete
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of that store that a test may change."""
    shutil.copytree(made / "store", tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def run(root: Path) -> Words:
    """The command line on that store; what it printed."""

    def invoke(*words: object) -> str:
        done = CliRunner().invoke(
            app, [*map(str, words), "--store", str(root)], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


def sides(root: Path, clip: str) -> list[float]:
    """Left edge of every row of face_track."""
    return FeatureStore.open(root).read(clip, "face_track").values[:, 0].tolist()


def test_show_lists_a_clips_tracks_the_subject_first(run: Words) -> None:
    (one,) = json.loads(run("tracks", "show", "--clip", "one", "--json"))
    assert [t["track"] for t in one["tracks"]] == [0, 1]
    assert [t["subject"] for t in one["tracks"]] == [5, 0]
    assert one["tracks"][0]["width"] > one["tracks"][1]["width"]
    told = run("tracks", "show")
    assert "one of c: 5 frames" in told
    assert "two of c: 5 frames" in told


def test_a_correction_plans_and_changes_the_clips_it_names_and_no_others(
    root: Path, run: Words, tmp_path: Path
) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text("clip,frames,track\none,1-2,1\none,4-,none\n")
    before, other = sides(root, "one"), sides(root, "two")
    assert "1 clip changed" in run("tracks", "override", file)
    plan = plan_request(FeatureStore.open(root), Request(str(root), ASKED))
    assert {f: (p.clips, p.maybe) for f, p in plan.by_feature.items()} == {
        "faces": (0, 0),
        "identity": (0, 0),
        "face_track": (1, 0),
        "tracks": (1, 0),
    }
    (reason,) = plan.by_feature["face_track"].reasons
    assert "tracks" in reason
    assert extract_plain(Request(str(root), ASKED)).complete
    after = sides(root, "one")
    assert after[0] == before[0]
    assert min(after[1:3]) > before[0] + 100
    assert np.isnan(after[4])
    assert sides(root, "two") == other
    assert "no change" in run("tracks", "override", file)
    assert "corrected: frames 4 to the end are nobody" in run("tracks", "show", "--clip", "one")


def test_ingesting_again_keeps_corrections_and_clear_forgets_them(
    made: Path, root: Path, run: Words, tmp_path: Path
) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text("clip,frames,track\ntwo,,1\n")
    run("tracks", "override", file)
    store = FeatureStore.open(root)
    ingest_manifest(store, load(None, str(made / "media"), "c"))
    plan = plan_request(FeatureStore.open(root), Request(str(root), ASKED))
    assert plan.by_feature["face_track"].clips == 1
    assert "1 clip changed" in run("tracks", "clear", "--clip", "two")
    plan = plan_request(FeatureStore.open(root), Request(str(root), ASKED))
    assert (plan.tasks, plan.maybe) == (0, 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clip,frames\none,1\n", "lacks the columns track"),
        ("clip,frames,track\n", "no line below its header"),
        ("clip,frames,track\nthree,1,0\n", "line 2: the store has no clip 'three'"),
        ("clip,frames,track\none,1,0\none,3-1,0\n", "line 3: frames '3-1'"),
        ("clip,frames,track\none,1,x\n", "track 'x'"),
        ("clip,frames,track\none,1,9\n", "track 9, which it doesn't have"),
        ("clip,frames,track\none,3-9,0\n", "reaches to frame 9, its last is 4"),
        ("clip,frames,track\none,1,3,0\n", "line 2: 4 cells, but the header has 3"),
        ("clip,frames,track\none,1\n", "line 2: 2 cells, but the header has 3"),
        ("clip,frames,track\n\n,,\none,x,0\n", "line 4: frames 'x'"),
        ("clip,frames,track\none,1_0,0\n", "frames '1_0'"),
        ("clip,frames,track\none,-3,0\n", "frames '-3'"),
        ("clip,frames,track\none,1,1.0\n", "track '1.0'"),
        ("clip,frames,track\none,1,-2\n", "track '-2'"),
        ("clip,frames,track,track\none,1,0,1\n", "the column track more than once"),
        ("clip|frames|track\none|1|0\n", "separated by commas"),
        ('clip,frames,track\n"one,1,0\n', "line 2: unexpected end of data; correct the quotes"),
        ("", "lacks the columns clip, frames, track"),
    ],
)
def test_a_table_with_a_wrong_line_keeps_nothing(
    root: Path, tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "corrections.csv"
    file.write_text(text)
    store = FeatureStore.open(root)
    with pytest.raises(RequestError, match=problem):
        override_tracks(store, file)
    assert store.clips("c")["attrs"].to_pylist() == [None, None]


@pytest.mark.parametrize("separator", [b",", b";"])
def test_a_table_may_be_written_by_a_spreadsheet(
    root: Path, run: Words, tmp_path: Path, separator: bytes
) -> None:
    file = tmp_path / "corrections.csv"
    text = b"\xef\xbb\xbfClip, Frames, Track\r\none, 0 - 3, 0\r\n,,\r\none, 2 - , 1\r\n"
    file.write_bytes(text.replace(b",", separator))
    run("tracks", "override", file)
    (one,) = json.loads(run("tracks", "show", "--clip", "one", "--json"))
    kept = [(o["first"], o["last"], o["track"]) for o in one["overrides"]]
    assert kept == [(0, 3, 0), (2, None, 1)]
    assert extract_plain(Request(str(root), ASKED)).complete
    first, second, *others = sides(root, "one")
    assert first == second
    assert min(others) > first + 100


def test_show_looks_at_a_variant(run: Words, root: Path) -> None:
    run("config", "set", "faces.min_face=100", "--variant", "near")
    assert extract_plain(Request(str(root), ASKED, variant="near")).complete
    for words, tracks in (((), 2), (("--variant", "near"), 1)):
        found = json.loads(run("tracks", "show", "--clip", "one", "--json", *words))
        assert [len(entry["tracks"]) for entry in found] == [tracks]
