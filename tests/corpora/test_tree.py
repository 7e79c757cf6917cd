"""The walk that all adapters share: hidden names, links, circles."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpora.afew import read_afew
from corpora.affwild2 import read_affwild2
from corpora.cremad import read_cremad
from corpora.errors import SourceMissing
from corpora.folder import read_folder
from corpora.manifest import Manifest
from corpora.omg import read_omg
from corpora.tree import Tree
from tests.corpora.test_omg import HEAD, row
from tests.corpora.trees import tree

VA = "valence,arousal\n.1,.2\n"
#: adapter -> a corpus of one clip, in its own layout
ONE: dict[str, tuple[Callable[[str | Path, str], Manifest], dict[str, str]]] = {
    "folder": (read_folder, {"sub/12.mp4": ""}),
    "affwild2": (
        read_affwild2,
        {
            "videos/12.mp4": "",
            "VA_Set/Training_Set/12.txt": VA,
            "cropped_aligned/12/00001.jpg": "",
        },
    ),
    "afew": (read_afew, {"Train/Angry/12.avi": "", "Train_Faces/12/00001.jpg": ""}),
    "cremad": (read_cremad, {"VideoFlash/1001_DFA_ANG_XX.flv": ""}),
    "omg": (
        read_omg,
        {"omg_TrainVideos.csv": HEAD + row(), "omg_TrainVideos/v1/utterance_1.mp4": ""},
    ),
}
#: a user without rights
NOBODY = 65_534
#: what macOS writes beside each file
RESOURCES = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\x02\xb0\xff\xfe"


def told(manifest: Manifest) -> object:
    """All that an adapter says of its clips, with plain frame labels."""
    labels = {
        clip: [(x.name, x.values.tolist(), x.valid.tolist()) for x in given]
        for clip, given in manifest.frame_labels.items()
    }
    return manifest.clips, labels, manifest.warnings


@pytest.mark.parametrize("name", ONE)
def test_what_macos_packs_beside_the_data_changes_nothing(tmp_path: Path, name: str) -> None:
    read, files = ONE[name]
    root = tree(tmp_path, files)
    before = told(read(root, "c"))
    for path in [p.relative_to(root) for p in root.rglob("*") if p.is_file()]:
        for beside in (path.parent / f"._{path.name}", "__MACOSX" / path, "#recycle" / path):
            (root / beside).parent.mkdir(parents=True, exist_ok=True)
            (root / beside).write_bytes(RESOURCES)
        (root / path.parent / ".DS_Store").write_bytes(RESOURCES)

    assert told(read(root, "c")) == before


@pytest.mark.parametrize("name", [n for n in ONE if n != "omg"])
def test_folders_may_be_links_and_circles_of_links_end(tmp_path: Path, name: str) -> None:
    read, files = ONE[name]
    data = tree(tmp_path / "data", files)
    root = tmp_path / "linked"
    root.mkdir()
    for folder in data.iterdir():
        (root / folder.name).symlink_to(folder)
    straight = read(data, "c")
    for circle in ("all", "again"):
        (next(data.iterdir()) / circle).symlink_to(root)
        (root / circle).symlink_to(root)

    linked = read(root, "c")
    assert [c.clip for c in linked.clips] == [c.clip for c in straight.clips]
    assert [len(c.assets) for c in linked.clips] == [len(c.assets) for c in straight.clips]
    assert linked.frame_labels.keys() == straight.frame_labels.keys()
    assert len(linked.warnings) == len(straight.warnings)


def test_a_folder_is_read_once_under_its_real_path(tmp_path: Path) -> None:
    root = tree(tmp_path, {"z/x.mp4": "", "z/y.TXT": "", "b.mp4": ""})
    (root / "a").symlink_to(root / "z")

    found = Tree(root)

    assert list(found.videos()) == [root / "b.mp4", root / "z/x.mp4"]
    assert list(found.files("txt")) == [root / "z/y.TXT"]
    assert found.warnings() == []


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(SourceMissing, match=f"{name}: there is no such folder"):
            Tree(tmp_path / name)


def test_folders_that_cannot_be_read_are_named(nobody_may_read: Path) -> None:
    root = nobody_may_read

    for read in (read_folder, read_afew):
        manifest = read(root, "c")
        assert len(manifest.clips) == 1
        assert f"folders that can't be read were passed over: {root / 'shut'}" in manifest.warnings
    with pytest.raises(SourceMissing, match="shut: can't be read"):
        Tree(root / "shut")


@pytest.fixture
def nobody_may_read() -> Iterator[Path]:
    """A corpus with a folder ``shut``, read without the rights that tests may be run with."""
    with tempfile.TemporaryDirectory() as place:
        root = tree(Path(place), {"Train/Sad/a.mp4": "", "shut/b.mp4": ""})
        root.chmod(0o755)
        (root / "shut").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield root
        finally:
            os.seteuid(user)
            (root / "shut").chmod(0o700)
