"""The adapter ``omg``."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.errors import BadTable, DuplicateClip, EmptyCorpus
from corpora.omg import read_omg, read_omg_by_link
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


def test_by_link_nobody_is_learned_from_who_is_scored(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "omg_TrainVideos.csv": HEAD
            + row("a", "t1") + row("b", "t2") + row("b", "t2", 2) + row("c", "t3"),
            "omg_ValidationVideos.csv": HEAD + row("b", "v1") + row("c", "v2") + row("d", "v3"),
            "omg_TestVideos_WithLabels.csv": HEAD + row("c", "e1") + row("d", "e2", 3),
        },
    )  # fmt: skip
    manifest = read_omg_by_link(root, "o")
    splits = {c.clip.split("/")[0]: c.split for c in manifest.clips}
    assert splits == {
        **{"t1": "train", "t2": None, "t3": None},
        **{"v1": "val", "v2": None, "v3": None, "e1": "test", "e2": "test"},
    }
    subjects: dict[str | None, set[str | None]] = {}
    for entry in manifest.clips:
        subjects.setdefault(entry.subject, set()).add(entry.split)
    assert all(len(found - {None}) <= 1 for found in subjects.values())
    assert "3 utterances of train have no split, since their links are in val or test too" in (
        manifest.warnings
    )
    official = read_omg(root, "o")
    assert [c.attrs for c in official.clips] == [c.attrs for c in manifest.clips]
    assert all(c.split for c in official.clips)


def test_whole_videos_are_cut_and_cuts_may_overlap(tmp_path: Path) -> None:
    table = HEAD + row() + row(number=2, cut="3,6")
    root = tree(tmp_path, {"omg_TrainVideos.csv": table, "Train/v1.mp4": ""})
    manifest = read_omg(root, "o")
    assert [(c.start, c.stop) for c in manifest.clips] == [(1.5, 4.0), (3.0, 6.0)]
    assert {c.uri for c in manifest.clips} == {str(root / "Train/v1.mp4")}


def test_utterances_and_videos_may_have_other_extensions(tmp_path: Path) -> None:
    table = HEAD + row() + row(number=2) + row(number=3) + row(video="v2")
    files = {
        "omg_TrainVideos.csv": table,
        **dict.fromkeys(("Train/v1/utterance_1.MP4", "Train/v1/._utterance_1.mp4"), ""),
        **dict.fromkeys(("Train/v1/utterance_2.mkv", "Train/v1/utterance_2.txt"), ""),
        **dict.fromkeys(("Train/v1/utterance_3.avi", "train/v1/utterance_3.mp4"), ""),
        "Train/v2.AVI": "",
    }
    clips = read_omg(tree(tmp_path, files), "o").clips
    found = {c.clip: (c.uri.removeprefix(f"{tmp_path}/"), c.start) for c in clips}
    assert found == {
        "v1/utterance_1": ("Train/v1/utterance_1.MP4", None),
        "v1/utterance_2": ("Train/v1/utterance_2.mkv", None),
        "v1/utterance_3": ("train/v1/utterance_3.mp4", None),
        "v2/utterance_1": ("Train/v2.AVI", 1.5),
    }


def test_the_authors_repository_is_read_as_it_is(tmp_path: Path) -> None:
    """Its six tables: three of utterances, the test set's without labels too, two of words."""
    said = 'link,video,utterance,transcript\n"https://y/a",v1,utterance_1.mp4,"hi, there"\n'
    test = row("https://y/c", "v3") + row("https://y/c", "v3", 2)
    bare = "".join(",".join(line.split(",")[:5]) + "\n" for line in test.splitlines())
    files = {
        "omg_TrainVideos.csv": HEAD + row(),
        "omg_TrainTranscripts.csv": said,
        "omg_ValidationVideos.csv": HEAD + row("https://y/b", "v2"),
        "omg_ValidationTranscripts.csv": said,
        "omg_TestVideos_WithLabels.csv": HEAD + test,
        "omg_TestVideos_WithoutLabels.csv": HEAD[: HEAD.index(",arousal")] + "\n" + bare,
        "README.md": "",
        "DetailedAnnotation/train/v1/utterance_1.mp4/0.txt": "",
    }

    manifest = read_omg(tree(tmp_path, files), "o")

    assert [(c.clip, c.split, c.labels["arousal"]) for c in manifest.clips] == [
        ("v3/utterance_1", "test", 0.5),
        ("v3/utterance_2", "test", 0.5),
        ("v1/utterance_1", "train", 0.5),
        ("v2/utterance_1", "val", 0.5),
    ]
    said = "\n".join(manifest.warnings)
    for name in ("omg_TrainTranscripts.csv", "omg_ValidationTranscripts.csv"):
        assert f"{name} was passed over: it has no columns start and end" in said
    assert (
        "omg_TestVideos_WithoutLabels.csv: 2 of 2 utterances were passed over, since "
        "omg_TestVideos_WithLabels.csv has them with their labels" in said
    )


def test_what_only_the_table_without_labels_has_is_a_clip_too(tmp_path: Path) -> None:
    bare = "link,start,end,video,utterance\nhttps://y/a,0,1,v1,utterance_{}.mp4\n"
    files = {
        "a_test.csv": bare.format(1) + "https://y/a,1,2,v1,utterance_2.mp4\n",
        "b_test.csv": HEAD + row(),
    }
    clips = read_omg(tree(tmp_path / "a", files), "o").clips
    assert [(c.clip, c.labels["arousal"]) for c in clips] == [
        ("v1/utterance_1", 0.5),
        ("v1/utterance_2", None),
    ]
    files = {"a_test.csv": bare.format(1), "b_train.csv": HEAD + row()}
    with pytest.raises(DuplicateClip, match=r"stands in .*b_train\.csv: line 2 too"):
        read_omg(tree(tmp_path / "b", files), "o")


def test_tables_saved_by_a_spreadsheet_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + (HEAD + row()).replace(",", ";").replace("\n", "\r\n")
    (tmp_path / "OMG_TrainVideos.CSV").write_bytes(text.encode())
    (clip,) = read_omg(tmp_path, "o").clips
    assert (clip.clip, clip.split, clip.labels["valence"]) == ("v1/utterance_1", "train", -0.25)


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
        ("0.5,0,2.7", r"line 3: EmotionMaxVote is 2\.7; it must be a whole number"),
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
