"""The adapter ``fer2013``: its CSV's images come to the store bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.adapters import load
from corpora.errors import BadTable, EmptyCorpus, SourceMissing
from corpora.fer2013 import EMOTIONS, read_fer2013
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore
from tests.corpora.fer2013_made import made_table, noise

USAGES = ["Training"] * 5 + ["PrivateTest", "PublicTest", "Training", "PublicTest"]
OWN = [0, 6, 3, 5, 4, 2, 1, 6, 0]


def test_every_image_is_a_frame_of_its_split_bit_by_bit(tmp_path: Path) -> None:
    images = noise(9)
    made_table(tmp_path / "fer2013" / "fer2013.csv", images, OWN, USAGES)
    root = tmp_path / "store"
    store = FeatureStore.create(root)
    manifest = load("fer2013", tmp_path, "fer")
    ingest_manifest(store, manifest)
    assert extract_plain(Request(str(root), "frame_48")).complete
    store = FeatureStore.open(root)
    for split, usage in (("train", "Training"), ("val", "PublicTest"), ("test", "PrivateTest")):
        chosen = [i for i, u in enumerate(USAGES) if u == usage]
        rows = store.read(split, "frame_48")
        np.testing.assert_array_equal(rows.values, np.repeat(images[chosen, ..., None], 3, 3))
        words = [EMOTIONS[i] for i in store.read(split, "label.emotion").values.tolist()]
        own = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
        assert words == [own[OWN[i]] for i in chosen]
    assert {c["clip"]: c["split"] for c in store.clips("fer").to_pylist()} == {
        "train": "train",
        "val": "val",
        "test": "test",
    }
    assert manifest.warnings[0] == "train: 6 images (published: 28709)"


def test_the_videos_are_written_once_and_again_when_the_table_changes(tmp_path: Path) -> None:
    table = made_table(tmp_path / "fer2013.csv", noise(2), [0, 1], ["Training"] * 2)
    video = tmp_path / "fer2013-videos" / "train.mkv"
    read_fer2013(table, "fer")
    first = (video.read_bytes(), video.stat().st_mtime_ns)
    read_fer2013(tmp_path, "fer")
    assert (video.read_bytes(), video.stat().st_mtime_ns) == first
    made_table(table, noise(2, seed=1), [0, 1], ["Training"] * 2)
    read_fer2013(table, "fer")
    assert video.read_bytes() != first[0]
    made_table(table, noise(2), [0, 1], ["Training"] * 2)
    read_fer2013(table, "fer")
    assert video.read_bytes() == first[0]
    video.write_bytes(first[0][:500])
    read_fer2013(table, "fer")
    assert video.read_bytes() == first[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7," + "0 " * 2304 + ",Training", "line 2: emotion is '7'"),
        ("0," + "0 " * 2303 + ",Training", "line 2: there are 2303 pixels"),
        ("0," + "256 " * 2304 + ",Training", "line 2: pixels must be numbers from 0 to 255"),
        ("0,a b,Training", "line 2: pixels must be numbers"),
        ("0," + "0 " * 2304 + ",Dev", "line 2: Usage is 'Dev'"),
        ("0," + "0 " * 2304 + ",Training,9", "line 2: 4 cells, the header has 3"),
        ("0," + "0 " * 2304, "line 2: 2 cells, the header has 3"),
        ("0," + "0 " * 2304 * 30 + ",Training", "line 2: field larger than field limit"),
        ("0," + "9" * 5000 + ",Training", "line 2: pixels must be numbers from 0 to 255"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(
    tmp_path: Path, line: str, said: str
) -> None:
    table = tmp_path / "fer2013.csv"
    table.write_text(f"emotion,pixels,Usage\n{line}\n")
    with pytest.raises(BadTable, match=said):
        read_fer2013(table, "fer")


def test_a_table_that_is_no_utf8_is_refused_with_file_and_place(tmp_path: Path) -> None:
    table = made_table(tmp_path / "fer2013.csv", noise(2), [0, 1], ["Training"] * 2)
    table.write_bytes(table.read_bytes() + b"0,\xff,Training\n")
    with pytest.raises(BadTable, match=r"fer2013\.csv: line 4: not UTF-8 "):
        read_fer2013(table, "fer")


@pytest.mark.parametrize("separator", [",", ";"])
def test_kaggles_table_with_blanks_in_its_header_is_read(tmp_path: Path, separator: str) -> None:
    images = noise(2)
    lines = (f"{i},Training,{' '.join(map(str, images[i].ravel().tolist()))}" for i in range(2))
    table = tmp_path / "icml_face_data.csv"
    text = "\ufeff" + "\r\n".join(["emotion, Usage, pixels", *lines]) + "\r\n"
    table.write_bytes(text.replace(",", separator).encode())

    manifest = read_fer2013(tmp_path, "fer")

    assert [c.clip for c in manifest.clips] == ["train"]
    assert [EMOTIONS[i] for i in manifest.frame_labels["train"][0].values] == ["angry", "disgust"]
    assert manifest.warnings == ("train: 2 images (published: 28709)",)


def test_no_table_no_images_and_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match=r"no fer2013\.csv there"):
        read_fer2013(tmp_path, "fer")
    table = tmp_path / "fer2013.csv"
    table.write_text("emotion,pixels,Usage\n")
    with pytest.raises(EmptyCorpus, match="no images"):
        read_fer2013(table, "fer")
    table.write_text("emotion,pixels\n")
    with pytest.raises(BadTable, match="no column 'Usage'"):
        read_fer2013(table, "fer")
