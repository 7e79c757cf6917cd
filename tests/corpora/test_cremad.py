"""The adapter ``cremad``."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.cremad import read_cremad
from corpora.errors import BadTable, DuplicateClip, EmptyCorpus, SourceMissing
from tests.conftest import SHARED
from tests.corpora.trees import tree

HEAD = (
    '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote",'
    '"MultiModalLevel"\n'
)
TABLE = "processedResults/summaryTable.csv"


def row(number: int, name: str, vote: str) -> str:
    return f'"{number}","{name}","N","69.1","A:F","30.67:51.00","{vote}","64.78"\n'


def dataset(root: Path, *names: str, votes: str = "") -> Path:
    files = {f"VideoFlash/{name}": "" for name in names}
    return tree(root, files | ({TABLE: HEAD + votes} if votes else {}))


def test_names_tell_actor_sentence_emotion_and_level(tmp_path: Path) -> None:
    root = dataset(
        tmp_path,
        "1001_DFA_ANG_XX.flv",
        "1076_MTI_NEU_XX.flv",
        "1091_IEO_DIS_MD.mp4",
        "1040_ITH_SAD_X.flv",
        "notes_about_it.flv",
    )
    manifest = read_cremad(root, "c")
    found = {c.clip: (c.subject, c.labels) for c in manifest.clips}
    assert found == {
        "1001_DFA_ANG_XX": (
            "1001",
            {"emotion": "angry", "level": "unspecified", "sentence": "DFA"},
        ),
        "1040_ITH_SAD_X": ("1040", {"emotion": "sad", "level": "unspecified", "sentence": "ITH"}),
        "1076_MTI_NEU_XX": (
            "1076",
            {"emotion": "neutral", "level": "unspecified", "sentence": "MTI"},
        ),
        "1091_IEO_DIS_MD": ("1091", {"emotion": "disgust", "level": "medium", "sentence": "IEO"}),
    }
    assert "notes_about_it.flv" in manifest.warnings[0]
    assert "no voted labels" in manifest.warnings[1]


def test_votes_may_be_tied_missing_or_of_clips_that_are_not_there(tmp_path: Path) -> None:
    votes = row(1, "1001_DFA_ANG_XX", "A") + row(2, "1001_DFA_HAP_XX", "D:H")
    votes += row(3, "1002_DFA_SAD_XX", "S")
    names = ("1001_DFA_ANG_XX.flv", "1001_DFA_HAP_XX.flv", "1001_DFA_FEA_XX.flv")
    manifest = read_cremad(dataset(tmp_path, *names, votes=votes), "c")
    labels = {c.clip: (c.labels["voted"], c.labels["votes"]) for c in manifest.clips}
    assert labels == {
        "1001_DFA_ANG_XX": ("angry", "angry"),
        "1001_DFA_FEA_XX": (None, None),
        "1001_DFA_HAP_XX": (None, "disgust:happy"),
    }
    assert [w.partition(":")[0] for w in manifest.warnings] == [
        "1 clips' votes are tied",
        "1 clip has no votes",
        "1 clip has votes but no video",
    ]


@pytest.mark.media
def test_the_real_tables_rows_are_read(tmp_path: Path) -> None:
    text = (SHARED / "reference/formats/crema_d_summaryTable_sample.csv").read_text()
    root = tree(tmp_path, {TABLE: text, "VideoFlash/1001_IEO_HAP_LO.flv": ""})
    assert read_cremad(root, "c").clips[0].labels["voted"] == "happy"


def test_what_is_inconsistent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        read_cremad(tmp_path / "none", "c")
    with pytest.raises(EmptyCorpus, match="1001_DFA_ANG_XX"):
        read_cremad(dataset(tmp_path / "a", "clip.mp4"), "c")
    twice = dataset(tmp_path / "b", "1001_DFA_ANG_XX.flv", "1001_DFA_ANG_XX.mp4")
    with pytest.raises(DuplicateClip, match="remove one"):
        read_cremad(twice, "c")
    bad = dataset(tmp_path / "d", "1001_DFA_ANG_XX.flv", votes=row(1, "x", "A") + row(2, "y", "Q"))
    with pytest.raises(BadTable, match=r"summaryTable.csv: line 3: MultiModalVote is 'Q'"):
        read_cremad(bad, "c")
    again = dataset(tmp_path / "e", "1001_DFA_ANG_XX.flv", votes=row(1, "x", "A") * 2)
    with pytest.raises(BadTable, match="line 3: x stands there twice"):
        read_cremad(again, "c")


def test_the_folder_of_the_videos_alone_finds_the_votes_beside_it(tmp_path: Path) -> None:
    root = dataset(tmp_path, "1001_DFA_ANG_XX.flv", votes=row(1, "1001_DFA_ANG_XX", "S"))
    (clip,) = read_cremad(root / "VideoFlash", "c").clips
    assert clip.labels["voted"] == "sad"
