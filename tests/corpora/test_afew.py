"""The adapter ``afew``."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.afew import read_afew
from corpora.errors import BadClip, DuplicateClip, EmptyCorpus
from tests.corpora.trees import tree


def test_folders_are_split_and_emotion_and_a_name_may_be_in_two_splits(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "Train/Angry/000046280.avi": "",
            "Train/Surprise/000149120.avi": "",
            "Val/Happy/000046280.avi": "",
            "Test/000000001.avi": "",
        },
    )
    manifest = read_afew(root, "a")
    assert [(c.clip, c.split, c.labels["emotion"]) for c in manifest.clips] == [
        ("Test/000000001", "test", None),
        ("Train/000046280", "train", "angry"),
        ("Train/000149120", "train", "surprise"),
        ("Val/000046280", "val", "happy"),
    ]
    assert manifest.warnings == ("1 names are in more than one split: 000046280",)


@pytest.mark.parametrize("layout", ["Train_AFEW_Faces/{}", "Faces/Train/Angry/{}", "Train/f/{}"])
def test_provided_faces_are_found_beside_the_clips(tmp_path: Path, layout: str) -> None:
    root = tree(
        tmp_path,
        {
            "Train/Angry/a.avi": "",
            "Train/Angry/b.avi": "",
            "Val/Angry/a.avi": "",
            layout.format("a") + "/0.jpg": "",
            layout.format("a") + "/1.jpg": "",
        },
    )
    manifest = read_afew(root, "a")
    assert {c.clip: [(x.role, x.uri) for x in c.assets] for c in manifest.clips} == {
        "Train/a": [("faces", str(root / layout.format("a")))],
        "Train/b": [],
        "Val/a": [],
    }
    assert "2 clips have no provided faces: Train/b, Val/a" in manifest.warnings


def test_the_published_archives_may_lie_as_they_unpack(tmp_path: Path) -> None:
    faces = "AlignedFaces_LBPTOP_Points"
    root = tree(
        tmp_path,
        {
            "Train_AFEW/Angry/a.avi": "",
            f"Train_AFEW/{faces}/{faces}/Faces/a/001.jpg": "",
            f"Train_AFEW/{faces}_Val/{faces}_Val/Faces/a/001.jpg": "",
            "AFEW/Validation/Val_AFEW/HAPPY/a.avi": "",
            "Test/Test_vid_Distribute/b.avi": "",
            "elsewhere/c.avi": "",
        },
    )
    manifest = read_afew(root, "a")
    assert [
        (c.clip, c.split, c.labels["emotion"], [x.uri for x in c.assets]) for c in manifest.clips
    ] == [
        ("Val_AFEW/a", "val", "happy", [f"{root}/Train_AFEW/{faces}_Val/{faces}_Val/Faces/a"]),
        ("Test_vid_Distribute/b", "test", None, []),
        ("Train_AFEW/a", "train", "angry", [f"{root}/Train_AFEW/{faces}/{faces}/Faces/a"]),
    ]
    said = "videos in no folder of a split were passed over: elsewhere/c.avi"
    assert said in manifest.warnings


def test_what_is_inconsistent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=r"x.avi: 'Bored' is no emotion"):
        read_afew(tree(tmp_path / "a", {"Train/Bored/x.avi": ""}), "a")
    with pytest.raises(BadClip, match="lies in no folder of an emotion"):
        read_afew(tree(tmp_path / "b", {"Val/x.avi": ""}), "a")
    with pytest.raises(DuplicateClip, match="Train/x is"):
        read_afew(tree(tmp_path / "c", {"Train/Sad/x.avi": "", "Train/Fear/x.avi": ""}), "a")
    files = {"Train/Sad/x.avi": "", "Train_AFEW/Sad/x.avi": ""}
    with pytest.raises(DuplicateClip, match=r"Train_AFEW/x is .*Train/Sad/x\.avi too"):
        read_afew(tree(tmp_path / "e", files), "a")
    with pytest.raises(EmptyCorpus, match="Train, Val or Test"):
        read_afew(tree(tmp_path / "d", {"x.avi": ""}), "a")


def test_folders_of_images_that_are_no_clips_are_no_faces(tmp_path: Path) -> None:
    files = ("Train/Angry/1.avi", "Train_faces/Angry/1_001.jpg", "Train_frames/Angry/1_001.jpg")
    (clip,) = read_afew(tree(tmp_path, dict.fromkeys(files, "")), "c").clips
    assert (clip.clip, clip.assets) == ("Train/1", ())
