"""Rows are the pictures that ffmpeg shows, whatever says that they are turned or cropped."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.media.command import SCALER
from features.media.media import Media
from features.media.programs import ffmpeg_path
from features.media.shown import _ask, shown
from tests.features.made_clips import ffmpeg, frames_of, make_clip

#: boxes of MP4 that hold the description of a stream, outermost first
DESCRIPTION = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 x 48, no sound, its index behind the pictures."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", sound=False)


def by_ffmpeg(path: Path) -> NDArray[np.uint8]:
    """The first picture that ffmpeg itself gives, in its own size."""
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-i", str(path), "-frames:v", "1"]
    sink = [
        "-vf",
        f"scale=flags={SCALER}",
        "-pix_fmt",
        "rgb24",
        "-c:v",
        "ppm",
        "-f",
        "image2pipe",
        "-",
    ]
    data = subprocess.run([*command, *sink], capture_output=True, check=True).stdout
    _, size, _, pixels = data.split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8, 3 * width * height).reshape(height, width, 3)


def assert_as_ffmpeg_shows_it(path: Path, width: int, height: int) -> None:
    media = Media(str(path))
    video = media.probe.video
    assert video is not None
    assert (video.width, video.height) == (width, height)
    frames, expected = frames_of(media).frames, by_ffmpeg(path)
    assert frames is not None
    assert frames.shape[1:] == expected.shape == (height, width, 3)
    assert (frames[0] == expected).all()


def with_clean_aperture(clip: Path, path: Path, width: int, height: int) -> Path:
    """A copy whose MP4 description shows only the middle ``width`` x ``height`` (``clap``)."""
    data = bytearray(clip.read_bytes())
    at, around = 0, []
    for kind in DESCRIPTION:
        while data[at + 4 : at + 8] != kind:
            at += struct.unpack_from(">I", data, at)[0]
        around.append(at)
        at += 16 if kind == b"stsd" else 8
    around.append(at)  # the entry for H.264
    box = struct.pack(">I4s8I", 40, b"clap", width, 1, height, 1, 0, 1, 0, 1)
    (size,) = struct.unpack_from(">I", data, at)
    data[at + size : at + size] = box
    for start in around:
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + len(box))
    path.write_bytes(data)
    return path


def turned_in_stream(clip: Path, path: Path, degrees: int) -> Path:
    """A copy whose H.264 stream itself asks to be turned."""
    orientation = f"h264_metadata=display_orientation=insert:rotate={degrees}"
    ffmpeg("-i", str(clip), "-c", "copy", "-bsf:v", orientation, str(path))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_a_turn_that_stands_in_the_stream(clip: Path, tmp_path: Path, suffix: str) -> None:
    assert_as_ffmpeg_shows_it(turned_in_stream(clip, tmp_path / f"x.{suffix}", 90), 48, 64)


def test_a_half_turn_keeps_the_size(clip: Path, tmp_path: Path) -> None:
    assert_as_ffmpeg_shows_it(turned_in_stream(clip, tmp_path / "x.mp4", 180), 64, 48)


def test_the_containers_turn_and_the_streams_own(clip: Path, tmp_path: Path) -> None:
    ffmpeg("-display_rotation", "90", "-i", str(clip), "-c", "copy", str(tmp_path / "turned.mp4"))
    assert_as_ffmpeg_shows_it(
        turned_in_stream(tmp_path / "turned.mp4", tmp_path / "both.mp4", 180), *(48, 64)
    )


@pytest.mark.parametrize(
    ("suffix", "orientation"),
    [
        ("avi", 1),
        ("avi", 2),
        ("avi", 3),
        ("avi", 4),
        ("avi", 5),
        ("avi", 6),
        ("mov", 7),
        ("mov", 8),
    ],
)
def test_the_exif_orientation_of_motion_jpeg(
    clip: Path, tmp_path: Path, suffix: str, orientation: int
) -> None:
    ffmpeg("-i", str(clip), "-frames:v", "1", "-q:v", "2", str(tmp_path / "plain.jpg"))
    plain = (tmp_path / "plain.jpg").read_bytes()
    exif = b"Exif\0\0" + struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)
    marker = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (tmp_path / "turned.jpg").write_bytes(plain[:2] + marker + plain[2:])
    film = tmp_path / f"film.{suffix}"
    ffmpeg("-f", "mjpeg", "-i", str(tmp_path / "turned.jpg"), "-c", "copy", str(film))
    assert_as_ffmpeg_shows_it(film, *((48, 64) if orientation > 4 else (64, 48)))


@pytest.mark.parametrize(("width", "height"), [(32, 24), (40, 48), (33, 23)])
def test_cropping_by_the_container(clip: Path, tmp_path: Path, width: int, height: int) -> None:
    """An odd size is rounded down to whole samples of colour, as ffmpeg's crop does it."""
    shape = width // 2 * 2, height // 2 * 2
    cropped = with_clean_aperture(clip, tmp_path / "clap.mp4", width, height)
    assert_as_ffmpeg_shows_it(cropped, *shape)
    # PixelCrop in Matroska
    ffmpeg("-i", str(cropped), "-c", "copy", str(tmp_path / "crop.mkv"))
    assert_as_ffmpeg_shows_it(tmp_path / "crop.mkv", *shape)


def test_cropping_comes_before_turning(clip: Path, tmp_path: Path) -> None:
    cropped = with_clean_aperture(clip, tmp_path / "clap.mp4", 32, 40)
    ffmpeg("-display_rotation", "90", "-i", str(cropped), "-c", "copy", str(tmp_path / "both.mp4"))
    assert_as_ffmpeg_shows_it(tmp_path / "both.mp4", 40, 32)


def test_a_stream_that_begins_between_key_frames(clip: Path, tmp_path: Path) -> None:
    """Its first packets give no picture; the one that comes then tells the turn."""
    turned = turned_in_stream(clip, tmp_path / "turned.ts", 90)
    alone = make_clip(tmp_path / "inter.h264", "-g", "1000", sound=False, seconds=3.0)
    data = alone.read_bytes()
    second = [i for i in range(len(data)) if data.startswith(b"\0\0\1\x41", i)][1]
    (tmp_path / "tail.h264").write_bytes(data[second:])
    ffmpeg("-i", str(turned), "-c", "copy", str(tmp_path / "turned.h264"))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(
        (tmp_path / "tail.h264").read_bytes() + (tmp_path / "turned.h264").read_bytes()
    )
    assert not _ask(str(joined), 0, 1).get("frames")
    assert_as_ffmpeg_shows_it(joined, 48, 64)


def test_what_no_limit_lets_through_is_not_decoded(tmp_path: Path) -> None:
    assert shown(str(tmp_path / "nothing.mp4"), 0, 100_000, 100_000).width == 100_000
