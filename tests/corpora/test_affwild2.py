"""The adapter ``affwild2``, in the layouts of several ABAW challenges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.affwild2 import read_affwild2
from corpora.errors import BadLabels, BadTable, DuplicateClip, EmptyCorpus
from corpora.manifest import FrameLabels, Manifest
from corpora.summary import summarise
from tests.conftest import SHARED
from tests.corpora.trees import tree

VA = "valence,arousal\n0.5,-0.25\n-5,-5\n-0.1,0.9\n"
EXPR7 = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n0\n6\n-1\n"
AU8 = "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n0,0,0,0,1,0,0,1\n-1,0,0,0,0,0,0,0\n1,1,1,1,1,1,1,1\n"
LAYOUTS = {
    "abaw1": ("annotations/VA_Set/Training_Set", "annotations/EXPR_Set/Validation_Set", "AU_Set"),
    "abaw3": (
        "Third ABAW Annotations/VA_Estimation_Challenge/Train_Set",
        "Third ABAW Annotations/EXPR_Classification_Challenge/Validation_Set",
        "Third ABAW Annotations/AU_Detection_Challenge",
    ),
    "abaw6": (
        "6th ABAW Annotations/VA_Estimation_Challenge/Train_Set",
        "6th ABAW Annotations/EXPR_Recognition_Challenge/Validation_Set",
        "6th ABAW Annotations/AU_Detection_Challenge",
    ),
    "in words": (
        "Valence_Arousal_Estimation/train",
        "Expression Recognition/valid",
        "Action Unit Detection",
    ),
}


def label(manifest: Manifest, clip: str, name: str) -> FrameLabels:
    return next(x for x in manifest.frame_labels[clip] if x.name == name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_challenges_folders_are_understood(tmp_path: Path, layout: str) -> None:
    va, expr, au = LAYOUTS[layout]
    root = tree(
        tmp_path,
        {
            f"{va}/video1.txt": VA,
            f"{expr}/video1.txt": EXPR7,
            f"{au}/Train_Set/video2_left.txt": AU8,
            f"{au}/Train_Set/video2_right.txt": AU8,
            "videos/batch1/video1.mp4": "",
            "videos/batch2/video2.avi": "",
            "videos/batch2/video3.mp4": "",
            "cropped_aligned/video1/00001.jpg": "",
            "cropped_aligned/video2_left/00001.jpg": "",
        },
    )
    manifest = read_affwild2(root, "w")
    clips = {c.clip: c for c in manifest.clips}
    assert list(clips) == ["video1", "video2_left", "video2_right", "video3"]
    one, left, right = (clips[n] for n in ("video1", "video2_left", "video2_right"))
    assert one.labels == {"split_va": "train", "split_expr": "val", "split_au": None}
    assert (one.split, left.split, clips["video3"].split) == ("train", "train", None)
    assert left.uri == right.uri == str(root / "videos/batch2/video2.avi")
    assert (left.attrs, right.attrs, one.attrs) == ({"side": "left"}, {"side": "right"}, {})
    assert [a.uri for a in left.assets] == [str(root / "cropped_aligned/video2_left")]
    assert not right.assets

    valence = label(manifest, "video1", "valence")
    assert valence.valid.tolist() == [True, False, True]
    np.testing.assert_array_equal(valence.values, np.array([0.5, np.nan, -0.1], np.float32))
    expression = label(manifest, "video1", "expression")
    assert expression.values.tolist() == [0, 6, 0]
    assert expression.valid.tolist() == [True, True, False]
    assert "4 Happiness" in expression.description
    au12 = label(manifest, "video2_left", "AU12")
    assert au12.values.tolist() == [1, 0, 1]
    assert au12.valid.tolist() == [True, False, True]
    said = "\n".join(manifest.warnings)
    assert "1 clips are in other splits of other tasks" in said
    assert "1 video has no annotations: video3" in said


@pytest.mark.media
def test_the_later_headers_with_more_classes_are_read(tmp_path: Path) -> None:
    formats = SHARED / "reference" / "formats"
    files = {
        f"{task}_Set/Train_Set/v.txt": (formats / f"SYNTHETIC_{task}.txt").read_text()
        for task in ("VA", "EXPR", "AU")
    }
    manifest = read_affwild2(tree(tmp_path, files), "w")
    names = [x.name for x in manifest.frame_labels["v"]]
    assert names[:2] == ["AU1", "AU2"]
    assert len(names) == 12 + 1 + 2
    assert "7 Other" in label(manifest, "v", "expression").description
    assert any("unequal numbers of rows" in w for w in manifest.warnings)
    assert any("1 media files aren't there" in w for w in manifest.warnings)


def test_a_video_that_is_called_left_is_its_own(tmp_path: Path) -> None:
    files = {"VA_Set/Train_Set/turn_left.txt": VA, "videos/turn_left.mp4": ""}
    manifest = read_affwild2(tree(tmp_path, files), "w")
    assert [(c.clip, dict(c.attrs)) for c in manifest.clips] == [("turn_left", {})]


def test_labels_that_cannot_be_are_unknown_and_counted(tmp_path: Path) -> None:
    files = {
        "VA_Set/Train_Set/v.txt": VA + "1.5,0\n",
        "EXPR_Set/Train_Set/v.txt": EXPR7 + "9\n",
    }
    manifest = read_affwild2(tree(tmp_path, files), "w")
    assert label(manifest, "v", "valence").valid.tolist() == [True, False, True, False]
    assert label(manifest, "v", "expression").valid.tolist() == [True, True, False, False]
    assert label(manifest, "v", "va_out_of_range").values.tolist() == [0, 0, 0, 1]
    assert label(manifest, "v", "expr_out_of_range").values.tolist() == [0, 0, 0, 1]
    assert any(
        "2 frames have labels that can't be" in w and "v (2)" in w for w in manifest.warnings
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VA + "0.5\n", r"v.txt: line 5: '0.5' must be 2 numbers"),
        (VA + "a,b\n", r"v.txt: line 5: 'a,b' must be 2 numbers"),
        (EXPR7, r"v.txt: line 1: the header 'Neutral,.*' isn't of VA"),
        (f"\n{VA}", r"v.txt: line 1: the header '\(empty\)' isn't of VA"),
    ],
)
def test_broken_annotations_are_refused_with_their_line(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(BadLabels, match=said):
        read_affwild2(tree(tmp_path, {"VA_Set/Train_Set/v.txt": text}), "w")


def test_expressions_and_columns_go_by_name_whatever_their_order(tmp_path: Path) -> None:
    files = {
        "EXPR_Set/Train_Set/a.txt": EXPR7,
        "EXPR_Set/TrainSet/b.txt": "Neutral,Happiness,Sadness,Anger,Fear,Surprise\n1\n3\n-1\n",
        "EXPR_Set/Train_Set/c.txt": "OTHER, anger,neutral\n0\n1\n2\n3\n",
        "VA_Set/Train_Set/a.txt": "Arousal,Valence\n0.5,-0.25\n",
        "AU_Set/Train_Set/a.txt": "AU04,au1\n1,0\n",
    }
    manifest = read_affwild2(tree(tmp_path, files), "w")
    assert label(manifest, "b", "expression").values.tolist() == [4, 1, 0]
    assert label(manifest, "b", "expression").valid.tolist() == [True, True, False]
    assert label(manifest, "c", "expression").values.tolist() == [7, 1, 0, 0]
    assert label(manifest, "c", "expr_out_of_range").values.tolist() == [0, 0, 0, 1]
    assert label(manifest, "a", "valence").values.tolist() == [-0.25]
    assert label(manifest, "a", "arousal").values.tolist() == [0.5]
    assert label(manifest, "a", "AU4").values.tolist() == [1]
    assert label(manifest, "a", "AU1").values.tolist() == [0]


@pytest.mark.parametrize(
    ("task", "header", "said"),
    [
        ("AU", "AU1,AU2,AU01", "names AU1 twice: 'AU1,AU2,AU01'"),
        ("EXPR", "Neutral,Anger,Fear,anger", "names Anger twice"),
        ("EXPR", "Neutral,Anger,Contempt", r"isn't of EXPR \('Contempt' is none of Neutral, Anger"),
        ("VA", "valence,arousal,valence", "names valence twice"),
        ("AU", "AU1,smile", "isn't of AU"),
    ],
)
def test_headers_that_contradict_themselves_are_refused(
    tmp_path: Path, task: str, header: str, said: str
) -> None:
    files = {f"{task}_Set/Train_Set/v.txt": f"{header}\n"}
    with pytest.raises(BadLabels, match=rf"v\.txt: line 1: the header .*{said}"):
        read_affwild2(tree(tmp_path, files), "w")


def test_a_header_alone_labels_nothing(tmp_path: Path) -> None:
    files = {"VA_Set/Test_Set/v.txt": "valence,arousal\n", "EXPR_Set/Train_Set/v.txt": EXPR7}
    manifest = read_affwild2(tree(tmp_path, files), "w")
    assert [x.name for x in manifest.frame_labels["v"]] == ["expression"]
    assert manifest.clips[0].labels["split_va"] == "test"


@pytest.mark.parametrize("text", ["", "\ufeff\r\n", "valence,arousal\r\n"])
def test_an_annotation_without_rows_is_listed_and_labels_nothing(tmp_path: Path, text: str) -> None:
    files = {"VA_Set/Train_Set/v.txt": text, "VA_Set/Train_Set/w.txt": VA}
    manifest = read_affwild2(tree(tmp_path, files), "w")
    assert [(c.clip, c.split) for c in manifest.clips] == [("v", "train"), ("w", "train")]
    assert list(manifest.frame_labels) == ["w"]
    assert "1 annotation has no rows, so no labels: VA_Set/Train_Set/v.txt" in manifest.warnings


def test_an_annotation_in_another_encoding_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, {"VA_Set/Train_Set/v.txt": ""})
    (root / "VA_Set/Train_Set/v.txt").write_bytes(VA.encode() + b"\xff\n")
    with pytest.raises(BadTable, match=r"v\.txt: line 5: not UTF-8"):
        read_affwild2(root, "w")


def test_what_is_there_twice_is_refused(tmp_path: Path) -> None:
    files = {"VA_Set/Train_Set/v.txt": VA, "VA_Set/Validation_Set/v.txt": VA}
    with pytest.raises(DuplicateClip, match="VA of v is in"):
        read_affwild2(tree(tmp_path / "a", files), "w")
    with pytest.raises(DuplicateClip, match="video v is"):
        read_affwild2(tree(tmp_path / "b", {"x/v.mp4": "", "y/v.avi": ""}), "w")
    with pytest.raises(EmptyCorpus, match="VA_Set"):
        read_affwild2(tree(tmp_path / "c", {"readme.txt": ""}), "w")


def test_only_aligned_crops_are_provided_faces(tmp_path: Path) -> None:
    files = {f"VA_Set/Train_Set/{name}.txt": VA for name in ("12", "13", "14")}
    images = ("cropped_aligned/12", "frames/12", "Cropped_Aligned_new_50_vids/13", "frames/14")
    root = tree(tmp_path, files | {f"{folder}/00001.jpg": "" for folder in images})

    manifest = read_affwild2(root, "w")

    assert {c.clip: [a.uri for a in c.assets] for c in manifest.clips} == {
        "12": [str(root / "cropped_aligned/12")],
        "13": [str(root / "Cropped_Aligned_new_50_vids/13")],
        "14": [],
    }
    assert "1 clip has no provided faces: 14" in manifest.warnings
    assert any("passed over" in w and str(root / "frames/14") in w for w in manifest.warnings)
    assert not any("frames/12" in w for w in manifest.warnings)


def test_two_folders_of_aligned_crops_of_one_subject_are_refused(tmp_path: Path) -> None:
    images = ("cropped_aligned/12", "batch2/cropped_aligned/12", "batch2/cropped_aligned/x")
    files = {"VA_Set/Train_Set/12.txt": VA} | {f"{folder}/00001.jpg": "" for folder in images}
    with pytest.raises(DuplicateClip, match=r"cropped_aligned/12: faces of 12 are in .*; keep one"):
        read_affwild2(tree(tmp_path, files), "w")


def test_folders_of_tasks_may_be_written_with_blanks_and_hyphens(tmp_path: Path) -> None:
    files = {"VA Set/Train Set/12.txt": VA, "EXPR-Set/validation/12.txt": EXPR7}
    (clip,) = read_affwild2(tree(tmp_path, files), "w").clips
    assert clip.labels == {"split_va": "train", "split_expr": "val", "split_au": None}


def test_text_files_that_are_not_understood_are_named(tmp_path: Path) -> None:
    files = ("VA_Set/Train_Set/deep/1.txt", "MTL/Train_Set/1.txt", "VA_Set/readme.txt", "2.txt")
    root = tree(tmp_path, {"VA_Set/Train_Set/1.txt": VA} | dict.fromkeys(files, VA))
    (said,) = [w for w in read_affwild2(root, "w").warnings if "text files" in w]
    assert all(name in said for name in files)
    assert "VA_Set/Train_Set/1.txt" not in said


def test_the_summary_tells_splits_and_distributions(tmp_path: Path) -> None:
    files = {"VA_Set/Train_Set/v.txt": VA, "EXPR_Set/Train_Set/v.txt": EXPR7}
    said = summarise(read_affwild2(tree(tmp_path, files), "w"))
    assert "splits: train 1" in said
    assert "label split_expr: train 1 (1 of 1 clips)" in said
    assert "label split_au: never set (0 of 1 clips)" in said
    assert "frame label expression: 0 1, 6 1 (2 of 3 frames)" in said
    assert "frame label valence: mean 0.200, deviation 0.300, -0.1 to 0.5 (2 of 3 frames)" in said


def test_the_summary_knows_no_zero_below_zero(tmp_path: Path) -> None:
    text = "valence,arousal\n-0.5,0.5\n-0.0,0.5\n"
    said = summarise(read_affwild2(tree(tmp_path, {"VA_Set/Train_Set/v.txt": text}), "w"))
    assert "frame label valence: mean -0.250, deviation 0.250, -0.5 to 0 (2 of 2 frames)" in said
