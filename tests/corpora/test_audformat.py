"""The adapter ``audformat``, against databases that the package itself writes."""

from __future__ import annotations

from pathlib import Path

import audformat
import numpy as np
import pytest

from corpora.audformat import read_audformat, write_audformat
from corpora.errors import BadLabels, BadTable, DuplicateClip, ForeignFolder, SourceMissing
from corpora.manifest import ClipEntry, FrameLabels, Manifest


def database() -> audformat.Database:
    made = audformat.Database("emotions")
    made.schemes["emotion"] = audformat.Scheme(labels=["happy", "sad"])
    made.schemes["speaker"] = audformat.Scheme(labels=["anna", "ben"])
    made.schemes["level"] = audformat.Scheme("float")
    made.splits["train"] = audformat.Split("train")
    made.splits["dev"] = audformat.Split("dev")
    files = audformat.filewise_index(["video/a.mp4", "video/b.mp4"])
    made["files"] = audformat.Table(files, split_id="train")
    made["files"]["emotion"] = audformat.Column(scheme_id="emotion")
    made["files"]["emotion"].set(["happy", None])
    made["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    made["files"]["speaker"].set(["anna", "ben"])
    segments = audformat.segmented_index(["video/c.mp4"] * 2, ["0s", "1.5s"], ["1.5s", None])
    made["segments"] = audformat.Table(segments, split_id="dev")
    made["segments"]["level"] = audformat.Column(scheme_id="level")
    made["segments"]["level"].set([0.25, np.nan])
    return made


def test_files_and_segments_become_clips(tmp_path: Path) -> None:
    database().save(str(tmp_path))
    manifest = read_audformat(tmp_path, "c")
    found = {c.clip: (c.start, c.stop, c.subject, c.split, dict(c.labels)) for c in manifest.clips}
    assert found == {
        "video/a": (None, None, "anna", "train", {"emotion": "happy", "level": None}),
        "video/b": (None, None, "ben", "train", {"emotion": None, "level": None}),
        "video/c/0-1500": (None, 1.5, None, "val", {"emotion": None, "level": 0.25}),
        "video/c/1500-open": (1.5, None, None, "val", {"emotion": None, "level": None}),
    }
    assert {c.uri for c in manifest.clips} == {str(tmp_path / f"video/{n}.mp4") for n in "abc"}
    assert "3 media files aren't there" in manifest.warnings[0]


def test_who_is_in_a_file_is_in_its_segments_unless_a_table_says_otherwise(tmp_path: Path) -> None:
    made = database()
    cuts = audformat.segmented_index(["video/a.mp4", "video/b.mp4"], ["0s", "1s"], ["1s", "2s"])
    made["cuts"] = audformat.Table(cuts)
    made["cuts"]["speaker"] = audformat.Column(scheme_id="speaker")
    made["cuts"]["speaker"].set([None, "anna"])
    made.save(str(tmp_path))
    subjects = {c.clip: c.subject for c in read_audformat(tmp_path, "c").clips}
    assert subjects == {
        **{"video/a": "anna", "video/a/0-1000": "anna", "video/b": "ben"},
        **{"video/b/1000-2000": "anna", "video/c/0-1500": None, "video/c/1500-open": None},
    }


def test_columns_that_contradict_each_other_keep_their_tables(tmp_path: Path) -> None:
    made = database()
    made["other"] = audformat.Table(audformat.filewise_index(["video/a.mp4"]))
    made["other"]["emotion"] = audformat.Column(scheme_id="emotion")
    made["other"]["emotion"].set(["sad"])
    made.save(str(tmp_path))
    labels = read_audformat(tmp_path, "c").clips[0].labels
    assert labels["files.emotion"] == "happy"
    assert labels["other.emotion"] == "sad"


def filewise(made: audformat.Database, table: str, cells: dict[str, str]) -> None:
    """Add a table of files with the column emotion."""
    made[table] = audformat.Table(audformat.filewise_index(list(cells)))
    made[table]["emotion"] = audformat.Column(scheme_id="emotion")
    made[table]["emotion"].set(list(cells.values()))


def test_different_files_and_segments_are_different_clips(tmp_path: Path) -> None:
    made = audformat.Database("pairs")
    made.schemes["emotion"] = audformat.Scheme(labels=["happy", "sad"])
    filewise(made, "one", {"x/a.wav": "happy", "x/a.mp4": "sad", "b.mp4": "sad"})
    filewise(made, "two", {"b.mp4": "sad"})
    starts, stops = ["0s", "0s", "2s", "2s"], ["100us", "300us", "3s", "3s"]
    cuts = audformat.segmented_index(["b.mp4"] * 3, starts[:3], stops[:3])
    again = audformat.segmented_index(["b.mp4"], starts[3:], stops[3:])
    for name, index in (("cuts", cuts), ("again", again)):
        made[name] = audformat.Table(index)
    made.save(str(tmp_path))

    found = {c.clip: (Path(c.uri).name, c.stop) for c in read_audformat(tmp_path, "c").clips}

    assert found == {
        "b": ("b.mp4", None),
        "b/0-0.1": ("b.mp4", 0.0001),
        "b/0-0.3": ("b.mp4", 0.0003),
        "b/2000-3000": ("b.mp4", 3.0),
        "x/a.mp4": ("a.mp4", None),
        "x/a.wav": ("a.wav", None),
    }


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    made = audformat.Database("up")
    made.schemes["emotion"] = audformat.Scheme(labels=["happy", "sad"])
    filewise(made, "one", {"../x/a.wav": "happy", "x/a.wav": "sad"})
    made.save(str(tmp_path / "up"))
    with pytest.raises(DuplicateClip, match=r"x/a\.wav and .* would both be clip 'x/a\.wav'"):
        read_audformat(tmp_path / "up", "c")

    made = database()
    made["speakers"] = audformat.Table(audformat.filewise_index(["video/a.mp4"]))
    made["speakers"]["speaker"] = audformat.Column(scheme_id="speaker")
    made["speakers"]["speaker"].set(["ben"])
    made.save(str(tmp_path / "who"))
    with pytest.raises(BadLabels, match="video/a has the subjects anna and ben"):
        read_audformat(tmp_path / "who", "c")

    made = audformat.Database("twice")
    made.schemes["level"] = audformat.Scheme("float")
    nearly = audformat.segmented_index(["a.mp4"] * 2, ["1s", "1000000100ns"], ["2s"] * 2)
    made["t"] = audformat.Table(nearly)
    made["t"]["level"] = audformat.Column(scheme_id="level")
    made["t"]["level"].set([0.5, 0.25])
    made.save(str(tmp_path / "twice"))
    with pytest.raises(DuplicateClip, match="table t has a/1000-2000 twice"):
        read_audformat(tmp_path / "twice", "c")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    def clip(name: str, split: str | None, **labels: float | str | None) -> ClipEntry:
        return ClipEntry(
            f"media/{name}", str(tmp_path / f"media/{name}.mp4"), subject="s1", split=split,
            labels={"emotion": None, "arousal": None, **labels},
        )  # fmt: skip

    frames = FrameLabels("valence", np.zeros(2, np.float32), np.ones(2, bool))
    manifest = Manifest(
        "c",
        (clip("a", "train", emotion="sad", arousal=0.5), clip("b", "val", arousal=-1.0)),
        {"media/a": (frames,)},
    )
    assert write_audformat(manifest, tmp_path / "db") == ["labels per frame are left out: valence"]
    again = read_audformat(tmp_path / "db", "c")
    assert [(c.clip, c.uri, c.subject, c.split, dict(c.labels)) for c in again.clips] == [
        (c.clip, c.uri, c.subject, c.split, dict(c.labels)) for c in manifest.clips
    ]
    with pytest.raises(ForeignFolder):
        write_audformat(manifest, tmp_path / "db")


def test_splits_of_any_name_and_mixed_labels_come_back(tmp_path: Path) -> None:
    splits = ("train", "val", "dev", "fold 1/x", None)
    marks = ("low", 3, None, 0.5, "high")
    clips = tuple(
        ClipEntry(f"m/{i}", str(tmp_path / f"m/{i}.mp4"), split=split, labels={"mark": mark})
        for i, (split, mark) in enumerate(zip(splits, marks, strict=True))
    )
    write_audformat(Manifest("c", clips), tmp_path / "db")
    again = read_audformat(tmp_path / "db", "c")
    assert tuple(c.split for c in again.clips) == splits
    assert [c.labels["mark"] for c in again.clips] == ["low", "3", None, "0.5", "high"]


def test_what_a_database_cannot_hold_is_not_written(tmp_path: Path) -> None:
    sides = (ClipEntry("v_left", "/m/v.mp4"), ClipEntry("v_right", "/m/v.mp4"))
    with pytest.raises(DuplicateClip, match="v_left and v_right are the same part"):
        write_audformat(Manifest("c", sides), tmp_path / "db")
    named = ClipEntry("a", "/m/a.mp4", subject="anna", labels={"speaker": "z"})
    with pytest.raises(BadLabels, match="label speaker of c would be read back"):
        write_audformat(Manifest("c", (named,)), tmp_path / "db")
    assert not (tmp_path / "db").exists()


def test_what_is_inconsistent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match=r"db\.yaml"):
        read_audformat(tmp_path, "c")
    (tmp_path / "db.yaml").write_text("name: [")
    with pytest.raises(BadTable, match=r"db\.yaml"):
        read_audformat(tmp_path, "c")
    made = database()
    made["again"] = audformat.Table(audformat.filewise_index(["video/a.mp4"]), split_id="dev")
    made.save(str(tmp_path / "two"))
    with pytest.raises(BadLabels, match="video/a is in the splits val and train"):
        read_audformat(tmp_path / "two", "c")
