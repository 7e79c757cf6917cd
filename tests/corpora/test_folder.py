"""The adapter ``folder``: which files are clips, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import EmptyCorpus, SourceMissing
from corpora.folder import clip_ids, read_folder
from corpora.tree import EXTENSIONS


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def ids(folder: Path) -> list[str]:
    return [c.clip for c in read_folder(folder, "c").clips]


def test_ids_are_relative_paths_without_extension_in_order(tmp_path: Path) -> None:
    put(tmp_path, "b.mp4", "a/z.mov", "a/y.avi", "c.d/e.f.webm")

    assert ids(tmp_path) == ["a/y", "a/z", "b", "c.d/e.f"]


def test_the_medium_is_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "sub/a.mp4")
    monkeypatch.chdir(tmp_path)

    assert read_folder("sub", "c").clips[0].uri == str(tmp_path / "sub" / "a.mp4")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_video_extension_counts_in_either_case(tmp_path: Path, extension: str) -> None:
    put(tmp_path, f"low.{extension}", f"up.{extension.upper()}")

    assert ids(tmp_path) == ["low", "up"]


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "a.wav", "b.wav", "c.jpg", "README")

    manifest = read_folder(tmp_path, "c")

    assert [c.clip for c in manifest.clips] == ["a"]
    assert manifest.warnings == (
        "files without a video's extension were passed over: wav 2, jpg 1, no extension 1",
    )


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", ".b.mp4", ".git/c.mp4", "._a.mp4")

    assert ids(tmp_path) == ["a"]


def test_a_hidden_folder_can_be_the_source(tmp_path: Path) -> None:
    put(tmp_path, ".demo/a.mp4")

    assert ids(tmp_path / ".demo") == ["a"]


def test_two_files_of_one_stem_keep_their_extensions(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "a.MOV", "b.mp4")

    assert ids(tmp_path) == ["a.MOV", "a.mp4", "b"]


def test_a_stem_that_equals_a_kept_name_keeps_its_extension_too() -> None:
    assert clip_ids(["a.mov", "a.mp4", "a.mp4.mov"]) == ["a.mov", "a.mp4", "a.mp4.mov"]


@given(
    st.lists(
        st.from_regex(r"\A[ab](/[ab])?(\.(mp4|mov)){1,3}\Z"), min_size=1, max_size=8, unique=True
    )
)
def test_ids_are_unique_whatever_the_names(names: list[str]) -> None:
    assert len(set(clip_ids(names))) == len(names)


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, "a/x.mp4", "b/y.mp4")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")

    assert ids(tmp_path) == ["a/x", "b/y"]


def test_a_linked_folder_outside_is_read_under_the_link(tmp_path: Path) -> None:
    put(tmp_path, "in/x.mp4", "out/y.mp4")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")

    assert ids(tmp_path / "in") == ["link/y", "x"]


def test_a_broken_link_is_named_in_the_warnings(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")

    manifest = read_folder(tmp_path, "c")

    assert [c.clip for c in manifest.clips] == ["a"]
    assert manifest.warnings == ("broken links and the like were passed over: gone.mp4, self.mp4",)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX file systems hold such names")
def test_a_name_that_is_no_text_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "new\nline.mp4")
    Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.mp4")).write_bytes(b"x")

    manifest = read_folder(tmp_path, "c")

    assert [c.clip for c in manifest.clips] == ["a"]
    assert "new\\nline.mp4" in manifest.warnings[0]


def test_one_file_is_a_corpus_of_one_clip(tmp_path: Path) -> None:
    put(tmp_path, "talk.mp4", "other.mp4")

    assert [c.clip for c in read_folder(tmp_path / "talk.mp4", "c").clips] == ["talk"]


def test_an_empty_folder_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    put(tmp_path, "a.wav")

    with pytest.raises(EmptyCorpus) as error:
        read_folder(tmp_path, "c")

    message = str(error.value)
    assert str(tmp_path) in message
    assert ", ".join(EXTENSIONS) in message
    assert "wav 1" in message
    assert "\n" not in message


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="nowhere"):
        read_folder(tmp_path / "nowhere", "c")


@pytest.mark.media
def test_the_real_clips_are_found_without_sounds_and_pictures(media: Path) -> None:
    manifest = read_folder(media, "c")

    assert len(manifest.clips) == 13
    assert "crema_d/1001_DFA_ANG_XX" in {c.clip for c in manifest.clips}
    assert manifest.warnings == (
        "files without a video's extension were passed over: jpg 2, wav 2",
    )
