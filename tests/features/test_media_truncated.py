"""Files that stop in the middle are told apart from whole ones, without a false alarm."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from features.errors import MediaTruncated
from features.media.media import Media
from features.media.truncation import missing_bytes
from tests.features.made_clips import ffmpeg, make_clip, times_of
from tests.features.test_media_video import FRAMES

#: container -> options that make one with its index in front, where it has an index at all
CONTAINERS = {
    "faststart.mp4": ("-movflags", "+faststart"),
    "fragments.mp4": ("-movflags", "frag_keyframe+empty_moov"),
    "faststart.mov": ("-movflags", "+faststart"),
    "clip.mkv": (),
    "clip.webm": ("-c:v", "libvpx", "-c:a", "libopus"),
    "clip.avi": (),
    "clip.flv": (),
    "clip.ts": (),
    "clip.mpg": ("-c:v", "mpeg1video", "-r", "25", "-c:a", "mp2"),
}


def cut(path: Path, share: float, into: Path) -> Path:
    """The first bytes of a file, as an interrupted copy leaves them."""
    data = path.read_bytes()
    # An odd number lies on no border of packets.
    into.write_bytes(data[: int(len(data) * share) | 1])
    return into


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole clip in each container."""
    made = tmp_path_factory.mktemp("containers")
    for name, options in CONTAINERS.items():
        make_clip(made / name, "-g", "5", *options, seconds=3.0)
    return made


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_whole_file_misses_nothing(folder: Path, name: str) -> None:
    assert missing_bytes(str(folder / name)) == 0
    media = Media(str(folder / name))
    assert len(times_of(media)) >= 29
    wave = media.audio_s16()
    assert wave is not None
    assert len(wave.samples) > 2.9 * 16_000


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("share", [0.6, 0.95])
def test_a_file_cut_short_fails_in_every_container(
    folder: Path, tmp_path: Path, name: str, share: float
) -> None:
    short = Media(str(cut(folder / name, share, tmp_path / name)))
    for read in (lambda: list(short.video(8)), short.audio_s16, short.audio_native):
        with pytest.raises(MediaTruncated, match="stops in the middle"):
            read()


@pytest.mark.parametrize("name", CONTAINERS)
def test_keep_reads_what_is_there(folder: Path, tmp_path: Path, name: str) -> None:
    whole = times_of(Media(str(folder / name)))
    short = Media(str(cut(folder / name, 0.7, tmp_path / name)), truncated="keep")
    times = times_of(short)
    assert 0 < len(times) < len(whole)
    assert times[:5] == pytest.approx(whole[:5])
    wave = short.audio_s16()
    assert wave is not None
    assert len(wave.samples) > 16_000


@pytest.mark.parametrize("truncated", ["fail", "keep"])
def test_an_mp4_that_lacks_its_index_is_truncated_and_cannot_be_kept(
    tmp_path: Path, truncated: str
) -> None:
    whole = make_clip(tmp_path / "whole.mp4", seconds=3.0)
    short = cut(whole, 0.6, tmp_path / "short.mp4")
    with pytest.raises(MediaTruncated, match="index among them"):
        Media(str(short), truncated=truncated).probe  # type: ignore[arg-type]  # noqa: B018


def test_what_ffmpeg_says_counts_where_sizes_say_nothing(tmp_path: Path) -> None:
    # mdat as the last box with size 0, "to the file's end": only the index knows better.
    whole = make_clip(tmp_path / "whole.mp4", "-movflags", "+faststart", seconds=3.0)
    data = bytearray(whole.read_bytes())
    at = data.index(b"mdat") - 4
    data[at : at + 4] = bytes(4)
    open_ended = tmp_path / "open.mp4"
    open_ended.write_bytes(data)
    assert len(times_of(Media(str(open_ended)))) == 30
    short = cut(open_ended, 0.6, tmp_path / "short.mp4")
    assert missing_bytes(str(short)) == 0
    with pytest.raises(MediaTruncated, match="last packet"):
        list(Media(str(short)).video(8))
    kept = Media(str(short), truncated="keep")
    assert 0 < len(times_of(kept)) < 30


def test_an_flv_can_be_cut_unnoticed_only_between_two_tags(folder: Path, tmp_path: Path) -> None:
    data = (folder / "clip.flv").read_bytes()
    short = tmp_path / "short.flv"
    unnoticed = []
    for length in range(len(data) - 400, len(data) + 1):
        short.write_bytes(data[:length])
        if not missing_bytes(str(short)):
            unnoticed.append(length)
    # after a tag, and after its size that follows it once more
    ends = [n for n in unnoticed if n + 4 in unnoticed]
    assert sorted([*ends, *(n + 4 for n in ends)]) == unnoticed
    assert 1 <= len(ends) < 10
    assert unnoticed[-1] == len(data)


@pytest.mark.parametrize("tail", [b"\0" * 999, b"junk", b"\xff" * 64, b"\0\0\xff\xffabcd" * 9])
def test_bytes_after_the_last_box_are_no_truncation(tmp_path: Path, tail: bytes) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes() + tail)
    assert missing_bytes(str(path)) == 0
    assert len(times_of(Media(str(path)))) == 10


def test_damage_in_the_middle_is_no_truncation(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.ts", "-g", "5", seconds=3.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle + 20 : middle + 100] = bytes(80)
    path.write_bytes(data)
    assert len(times_of(Media(str(path)))) >= 28


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 11, 12, 13, 16, 64, 187, 189, 377])
@pytest.mark.parametrize("name", CONTAINERS)
def test_the_look_at_sizes_survives_any_beginning(
    folder: Path, tmp_path: Path, name: str, size: int
) -> None:
    stub = tmp_path / "stub"
    stub.write_bytes((folder / name).read_bytes()[:size])
    assert missing_bytes(str(stub)) >= 0


def test_a_large_file_with_64_bit_sizes_is_understood(tmp_path: Path) -> None:
    box = (1).to_bytes(4, "big") + b"mdat" + (5 << 32).to_bytes(8, "big")
    path = tmp_path / "large.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + box + bytes(100))
    assert missing_bytes(str(path)) == (5 << 32) - 116


def test_a_wave_file_of_unknown_size_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(path))
    data = bytearray(path.read_bytes())
    assert missing_bytes(str(path)) == 0
    for unknown in (0, 0xFFFFFFFF, 0x7FFFF024):
        data[4:8] = unknown.to_bytes(4, "little")
        path.write_bytes(data)
        assert missing_bytes(str(path)) == 0


def test_the_error_survives_a_journey_to_another_process(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", seconds=3.0)
    with pytest.raises(MediaTruncated) as caught:
        list(Media(str(cut(whole, 0.5, tmp_path / "short.mkv"))).video(8))
    there = pickle.loads(pickle.dumps(caught.value))
    assert (type(there), str(there)) == (MediaTruncated, str(caught.value))


@pytest.mark.media
@pytest.mark.parametrize("name", FRAMES)
def test_no_real_clip_is_taken_for_truncated_and_every_cut_one_is(
    media: Path, tmp_path: Path, name: str
) -> None:
    assert missing_bytes(str(media / name)) == 0
    short = cut(media / name, 0.6, tmp_path / Path(name).name)
    assert missing_bytes(str(short)) > 0
    with pytest.raises(MediaTruncated):
        list(Media(str(short)).video(32, pixels=False))


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("a11_grid_bbaf2n.mpg", 47),
        ("crema_d/1001_DFA_ANG_XX.flv", 38),
        ("a01_woman_emotions_silent_audio.mp4", 288),
    ],
)
def test_keep_gives_the_frames_that_a_cut_real_clip_still_has(
    media: Path, tmp_path: Path, name: str, frames: int
) -> None:
    data = (media / name).read_bytes()
    short = tmp_path / Path(name).name
    short.write_bytes(data[: int(len(data) * 0.6)])
    assert len(times_of(Media(str(short), truncated="keep"))) == frames


@pytest.mark.parametrize(("before", "behind"), [(4, 0), (0, 16)])
def test_transport_packets_with_a_time_stamp_or_a_checksum_are_judged_too(
    tmp_path: Path, before: int, behind: int
) -> None:
    """192 bytes as cameras write them (.m2ts, .mts), 204 as receivers do."""
    plain = make_clip(tmp_path / "plain.ts", sound=False).read_bytes()
    packets = [plain[i : i + 188] for i in range(0, len(plain), 188)]
    data = b"".join(bytes(before) + packet + bytes(behind) for packet in packets)
    size = 188 + before + behind
    path = tmp_path / "x.m2ts"
    path.write_bytes(data)
    assert missing_bytes(str(path)) == 0
    for left in (before + 1, 100, size - 1):
        path.write_bytes(data[: len(data) // 2 // size * size + left])
        assert missing_bytes(str(path)) == size - left
