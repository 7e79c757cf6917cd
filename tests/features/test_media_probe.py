"""What headers say, and what is refused before anything is decoded."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from features.errors import (
    MediaEmpty,
    MediaMissing,
    MediaTooLarge,
    MediaUnreadable,
    NoVideoStream,
    RequestError,
)
from features.media.audio import Cut, read_s16
from features.media.limits import Limits
from features.media.media import Media
from features.media.probe import probe, sha256_file
from tests.features.made_clips import ffmpeg, frames_of, make_clip, times_of


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def test_headers_are_read(clip: Path) -> None:
    found = probe(str(clip))
    assert found.format.startswith("mov")
    assert found.duration == pytest.approx(1.0, abs=0.05)
    assert found.start == 0.0
    video, audio = found.video, found.audio
    assert video is not None
    assert audio is not None
    assert (video.codec, video.width, video.height, video.fps) == ("h264", 64, 48, 10.0)
    assert (video.rotation, video.aspect, video.time_base) == (0.0, 1, Fraction(1, 10240))
    assert (audio.codec, audio.rate, audio.channels, audio.start) == ("aac", 44100, 1, 0.0)


def test_a_probe_is_the_same_after_a_journey_to_another_process(clip: Path) -> None:
    media = Media(str(clip), 0.1, 0.5)
    there = pickle.loads(pickle.dumps(media))
    assert there == media
    assert there.probe == media.probe


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_have_the_shape_that_is_shown(clip: Path, tmp_path: Path, degrees: int) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(degrees), "-i", str(clip), "-c", "copy", str(turned))
    video = probe(str(turned)).video
    assert video is not None
    shown = (48, 64) if degrees % 180 else (64, 48)
    assert (video.coded_width, video.coded_height) == (64, 48)
    assert (video.width, video.height) == shown
    plain, frames = frames_of(Media(str(clip))).frames, frames_of(Media(str(turned))).frames
    assert plain is not None
    assert frames is not None
    assert frames.shape[1:3] == shown[::-1]
    # The matrix turns counter-clockwise, as numpy.rot90 does.
    expected = plain[0]
    for _ in range(degrees // 90):
        expected = expected.transpose(1, 0, 2)[::-1]
    assert abs(frames[0].astype(int) - expected.astype(int)).mean() < 4


def test_a_pixel_aspect_is_told_and_not_applied(tmp_path: Path) -> None:
    media = Media(str(make_clip(tmp_path / "wide.mp4", "-vf", "setsar=2/1", sound=False)))
    video = media.probe.video
    assert video is not None
    assert video.aspect == 2
    assert (video.width, video.height) == (64, 48)


def test_a_cover_picture_is_no_video_stream(clip: Path, tmp_path: Path) -> None:
    song = tmp_path / "song.mp4"
    picture = ["-i", str(clip), "-map", "0:a", "-map", "1:v", "-c:a", "copy", "-c:v", "mjpeg"]
    ffmpeg("-i", str(clip), *picture, "-frames:v", "1", "-disposition:v", "attached_pic", str(song))
    media = Media(str(song))
    assert media.probe.video is None
    assert media.probe.audio is not None
    with pytest.raises(NoVideoStream, match=r"song\.mp4"):
        media.video(8)


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MediaMissing, match=r"gone\.mp4"):
        probe(str(tmp_path / "gone.mp4"))
    with pytest.raises(MediaMissing):
        sha256_file(str(tmp_path / "gone.mp4"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_missing(clip: Path, tmp_path: Path) -> None:
    secret = Path(shutil.copy(clip, tmp_path / "secret.mp4"))
    secret.chmod(0)
    with pytest.raises(MediaMissing, match="permission"):
        probe(str(secret))


def test_an_empty_file_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaEmpty, match="zero bytes"):
        probe(str(tmp_path / "empty.mp4"))


def test_a_pointer_of_git_lfs_is_told_apart(tmp_path: Path) -> None:
    """CREMA-D's repository holds its videos so; a copy without them has these texts."""
    path = tmp_path / "1001_DFA_ANG_XX.flv"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n")
    with pytest.raises(MediaUnreadable, match=r"pointer of Git LFS; .* git lfs pull"):
        probe(str(path))


@pytest.mark.parametrize("content", [b"plain words\n", bytes(range(256)) * 64, b"\0" * 4096])
def test_what_is_no_media_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "noise.mp4").write_bytes(content)
    with pytest.raises(MediaUnreadable, match=r"noise\.mp4"):
        probe(str(tmp_path / "noise.mp4"))


def test_folders_and_pipes_are_unreadable_and_nobody_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path, tmp_path / "pipe.mp4"):
        with pytest.raises(MediaUnreadable, match="no regular file"):
            probe(str(path))


@pytest.mark.parametrize(
    "name",
    [
        "-i.mp4",
        "with blank.mp4",
        "quote'\".mp4",
        "%d%s.mp4",
        "line\nbreak.mp4",
        "http:colon.mp4",
        "a,b;c[d]=e\\f|g.mp4",
        "{times}.mp4",
        "ü.mp4",
        "no_ending",
    ],
)
def test_a_file_of_any_name_is_read(
    clip: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, tmp_path / name)
    media = Media(name)
    assert len(times_of(media)) == 10
    wave = media.audio_s16()
    assert wave is not None
    assert len(wave.samples) > 15_000


def test_the_hash_is_of_the_files_bytes(clip: Path) -> None:
    assert sha256_file(str(clip)) == hashlib.sha256(clip.read_bytes()).hexdigest()


def test_a_recording_over_the_limit_of_time_is_refused(clip: Path) -> None:
    with pytest.raises(MediaTooLarge, match=r"clip\.mp4 lasts 1 s by its headers"):
        Media(str(clip), limits=Limits(seconds=0.5)).probe  # noqa: B018


def test_pictures_over_the_limit_are_refused(clip: Path) -> None:
    with pytest.raises(MediaTooLarge, match="64 x 48"):
        list(Media(str(clip), limits=Limits(pixels=3000)).video(8))


def test_more_frames_than_the_limit_are_refused(clip: Path) -> None:
    with pytest.raises(MediaTooLarge, match="more than 7 frames"):
        list(Media(str(clip), limits=Limits(frames=7)).video(2))


def test_more_sound_than_the_limit_is_refused_whatever_the_headers_say(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    make_clip(path, seconds=5.0)
    limits = Limits(seconds=2.0)
    stream = probe(str(path)).audio
    assert stream is not None
    with pytest.raises(MediaTooLarge, match="more than 2 s of sound"):
        read_s16(str(path), "long.mp4", stream, 16_000, Cut(None, None, limits, False))


def test_a_cut_that_stops_before_it_starts_is_refused(clip: Path) -> None:
    with pytest.raises(RequestError, match="start must come before stop"):
        Media(str(clip), 2.0, 1.0)
