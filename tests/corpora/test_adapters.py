"""Which adapter reads what."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from corpora.adapters import adapters, fitting, load
from corpora.demo.make import HEADER
from corpora.errors import UnknownAdapter


@pytest.fixture
def fresh_registry() -> None:
    adapters.cache_clear()


def test_a_folder_is_read_as_folder_and_a_csv_as_table(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "t.CSV").write_text("clip_id,path\nfrom_table,a.mp4\n")

    assert load(None, tmp_path, "c").clips[0].clip == "a"
    assert load(None, tmp_path / "t.CSV", "c").clips[0].clip == "from_table"


def test_a_folder_that_is_named_like_a_table_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()

    assert fitting(tmp_path / "x.csv") == "folder"
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "demo.csv").write_text(",".join(HEADER) + "\ndemo_1,demo_1.mp4,,,,,\n")
    assert fitting(tmp_path / "made") == "demo"


def test_an_unknown_adapter_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownAdapter, match=r"'foldr' \(did you mean 'folder'\?\)"):
        load("foldr", tmp_path, "c")


@pytest.mark.usefixtures("fresh_registry")
def test_a_package_adds_an_adapter_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_corpus.py").write_text(
        "from corpora.manifest import ClipEntry, Manifest\n"
        "def read(source, corpus):\n"
        "    return Manifest(corpus, (ClipEntry('theirs', str(source)),))\n"
    )
    info = tmp_path / "their_corpus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-corpus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[affectstore.adapters]\ntheirs = their_corpus:read\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    try:
        assert load("theirs", "/x", "c").clips[0].clip == "theirs"
    finally:
        adapters.cache_clear()
