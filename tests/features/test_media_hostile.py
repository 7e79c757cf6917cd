"""Playlists that are named like films: refused, and the files they name never opened."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from features.errors import DecodeFailed, MediaForbidden, MediaUnreadable
from features.media.guard import OPEN_OPTIONS
from features.media.media import Media
from features.media.probe import probe
from tests.features.made_clips import ffmpeg, make_clip

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\ncanary.ts\n#EXT-X-ENDLIST\n",
    "hls after blanks": "\n \n#EXTM3U\n#EXTINF:1.0,\ncanary.ts\n",
    "dash": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" minBufferTime="PT1S" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
        '<Representation id="1" bandwidth="1000" width="64" height="48" codecs="avc1.64000a">'
        "<BaseURL>canary.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "ffconcat": "ffconcat version 1.0\nfile canary.mp4\n",
    "concat": "file canary.mp4\n",
    "concat, quoted": "file 'canary.mp4'\n",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def canary(clip: Path, tmp_path: Path) -> list[Path]:
    """Media that playlists in the same folder name."""
    copies = [Path(shutil.copy(clip, tmp_path / "canary.mp4")), tmp_path / "canary.ts"]
    ffmpeg("-i", str(clip), "-c", "copy", str(copies[1]))
    return copies


class Openings:
    """Tells whether any process has opened one of some files (inotify, Linux only)."""

    _IN_OPEN = 0x20

    def __init__(self, paths: list[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._queue = libc.inotify_init1(os.O_NONBLOCK)
        for path in paths:
            assert libc.inotify_add_watch(self._queue, os.fsencode(path), self._IN_OPEN) >= 0

    def any(self) -> bool:
        """One was opened since the last call."""
        try:
            return bool(os.read(self._queue, 4096))
        except BlockingIOError:
            return False


needs_inotify = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def openings(canary: list[Path]) -> Iterator[Openings]:
    watch = Openings(canary)
    canary[0].read_bytes()
    assert watch.any(), "an opening would go unnoticed"
    yield watch
    os.close(watch._queue)


@needs_inotify
@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("told_by_first_bytes", [True, False])
def test_a_playlist_named_like_a_film_is_refused_and_its_files_are_never_opened(
    openings: Openings,
    tmp_path: Path,
    kind: str,
    told_by_first_bytes: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not told_by_first_bytes:
        # The whitelist must hold by itself: first bytes can be dressed up in ways we don't know.
        monkeypatch.setattr("features.media.probe.playlist_kind", lambda path: None)
    trap = tmp_path / "x.mp4"
    trap.write_text(PLAYLISTS[kind])
    expected = MediaForbidden if told_by_first_bytes else (MediaForbidden, MediaUnreadable)
    for read in (
        lambda: probe(str(trap)),
        lambda: list(Media(str(trap)).video(8)),
        lambda: Media(str(trap)).audio_s16(),
        lambda: Media(str(trap)).audio_native(),
    ):
        with pytest.raises(expected, match=r"x\.mp4"):
            read()
    assert not openings.any()


@needs_inotify
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_the_decoder_itself_refuses_a_playlist(
    clip: Path, openings: Openings, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "x.mp4"
    shutil.copy(clip, path)
    media = Media(str(path))
    assert media.probe.video is not None
    # The file is exchanged between the look at it and its decoding.
    path.write_text(PLAYLISTS[kind])
    with pytest.raises(DecodeFailed):
        list(media.video(8))
    with pytest.raises(DecodeFailed):
        media.audio_s16()
    assert not openings.any()


@needs_inotify
def test_a_playlist_would_be_followed_without_the_whitelist(
    openings: Openings, tmp_path: Path
) -> None:
    trap = tmp_path / "x.mp4"
    trap.write_text(PLAYLISTS["ffconcat"])
    with av.open(f"file:{trap}") as container:
        assert container.format.name == "concat"
    assert openings.any()
    with pytest.raises(av.error.ArgumentError):
        av.open(f"file:{trap}", container_options=dict(OPEN_OPTIONS))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WebP"])
def test_a_still_picture_named_like_a_film_is_called_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.mp4"
    Image.new("RGB", (8, 8)).save(path, format=kind)
    with pytest.raises(MediaUnreadable, match=rf"is a still picture \({kind}\), no video"):
        probe(str(path))
