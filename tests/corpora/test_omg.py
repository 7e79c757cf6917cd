"""The adapter ``omg``."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.errors import BadTable, DuplicateClip, EmptyCorpus
from corpora.omg import read_omg
from tests.corpora.trees import tree

HEAD = "link,start,end,video,utterance,arousal,valence,EmotionMaxVote\n"


def row(
    link: str = "https://y/a",
    video: str = "v1",
    number: int = 1,
    labels: str = "0.5,-0.25,4",
    cut: str = "1.5,4.0",
) -> str:
    return f"{link},{cut},{video},utterance_{number}.mp4,{labels}\n"


def test_tables_are_splits_and_media_lie_by_video_and_utterance(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "omg_TrainVideos.csv": HEAD + row() + row(number=2, labels="1,1,0"),
            "omg_ValidationVideos.csv": HEAD + row("https://y/b", "v2"),
            "omg_TestVideos_WithLabels.csv": HEAD + row("https://y/c", "v3"),
            "omg_TrainVideos/v1/utterance_1.mp4": "",
            "Validation/v2/utterance_1.mp4": "",
            "omg_TestVideos/v3/utterance_1.mp4": "",
            "notes.csv": "x\n",
        },
    )
    manifest = read_omg(root, "o")
    clips = {c.clip: c for c in manifest.clips}
    assert [(c.clip, c.split) for c in manifest.clips] == [
        ("v3/utterance_1", "test"),
        ("v1/utterance_1", "train"),
        ("v1/utterance_2", "train"),
        ("v2/utterance_1", "val"),
    ]
    first = clips["v1/utterance_1"]
    assert first.labels == {"arousal": 0.5, "valence": -0.25, "emotion": "neutral"}
    assert (first.start, first.stop, first.subject) == (None, None, "https://y/a")
    assert clips["v1/utterance_2"].attrs["row"] == "2"
    assert clips["v2/utterance_1"].uri == str(root / "Validation/v2/utterance_1.mp4")
    assert clips["v3/utterance_1"].uri == str(root / "omg_TestVideos/v3/utterance_1.mp4")
    assert any("notes.csv was passed over" in w for w in manifest.warnings)
    assert any("1 media files aren't there" in w for w in manifest.warnings)


def test_whole_videos_are_cut_and_cuts_may_overlap(tmp_path: Path) -> None:
    table = HEAD + row() + row(number=2, cut="3,6")
    root = tree(tmp_path, {"omg_TrainVideos.csv": table, "Train/v1.mp4": ""})
    manifest = read_omg(root, "o")
    assert [(c.start, c.stop) for c in manifest.clips] == [(1.5, 4.0), (3.0, 6.0)]
    assert {c.uri for c in manifest.clips} == {str(root / "Train/v1.mp4")}


def test_links_in_two_splits_are_told(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "omg_TrainVideos.csv": HEAD + row(),
            "omg_ValidationVideos.csv": HEAD + row(video="v2"),
        },
    )
    assert any("1 links are in more than one split" in w for w in read_omg(root, "o").warnings)


def test_tables_without_labels_are_test_sets(tmp_path: Path) -> None:
    head = "link,start,end,video,utterance\n"
    text = head + "https://y/a,0,1,v1,utterance_1.mp4\n"
    manifest = read_omg(tree(tmp_path, {"omg_TestVideos.csv": text}), "o")
    assert set(manifest.clips[0].labels.values()) == {None}


def test_junk_at_the_end_is_passed_over_but_nowhere_else(tmp_path: Path) -> None:
    junk = ",,,,,,,0\nmirror\n"
    root = tree(tmp_path / "a", {"omg_TrainVideos.csv": HEAD + row() + junk})
    manifest = read_omg(root, "o")
    assert len(manifest.clips) == 1
    assert any("2 rows at the end are no utterances" in w for w in manifest.warnings)
    root = tree(tmp_path / "b", {"omg_TrainVideos.csv": HEAD + row() + junk + row(number=2)})
    with pytest.raises(BadTable, match=r"omg_TrainVideos.csv: line 3: link is empty"):
        read_omg(root, "o")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("1.5,0,4", r"line 3: arousal is '1.5'; it must be a number from 0 to 1"),
        ("0.5,x,4", r"line 3: valence is 'x'"),
        ("0.5,0,7", r"line 3: EmotionMaxVote is '7'"),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path: Path, labels: str, said: str) -> None:
    table = HEAD + row() + row(number=2, labels=labels)
    with pytest.raises(BadTable, match=said):
        read_omg(tree(tmp_path, {"omg_TrainVideos.csv": table}), "o")


def test_an_utterance_stands_in_the_tables_once(tmp_path: Path) -> None:
    with pytest.raises(DuplicateClip, match=r"line 3: utterance v1/utterance_1 stands in .*line 2"):
        read_omg(tree(tmp_path / "a", {"omg_TrainVideos.csv": HEAD + row() * 2}), "o")
    with pytest.raises(EmptyCorpus, match=r"omg_TrainVideos\.csv"):
        read_omg(tree(tmp_path / "b", {"x.mp4": ""}), "o")
    with pytest.raises(BadTable, match=r"line 1: no column 'utterance'"):
        read_omg(tree(tmp_path / "d", {"omg_TrainVideos.csv": "link,start,end,video\n"}), "o")
