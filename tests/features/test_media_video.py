"""Frames and their times: exact, in batches and cuts, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from features.errors import (
    DecodeFailed,
    EmptyCut,
    FeatureError,
    FrameCountMismatch,
    MediaTooLarge,
)
from features.media.limits import Limits
from features.media.media import Media
from features.media.programs import SETTING
from features.media.video import seconds_of
from tests.features.made_clips import ffmpeg, frames_of, make_clip, times_of

#: decoded frames of the real clips
FRAMES = {
    "a01_woman_emotions_silent_audio.mp4": 472,
    "a02_single_face_mp3_in_mp4.mp4": 72,
    "a03_face_then_noface_vfr_hevc.mov": 169,
    "a04_no_face.mp4": 95,
    "a05_speech_two_people_12fps.mp4": 105,
    "a06_stage_dark_profile_many_faces.mp4": 275,
    "a07_three_people_no_audio.mp4": 30,
    "a08_closeup_no_audio_720x576.mp4": 90,
    "a09_man_talking_portrait_hevc.mp4": 502,
    "a10_man_talking_vfr.mp4": 135,
    "a11_grid_bbaf2n.mpg": 75,
    "crema_d/1001_DFA_ANG_XX.flv": 67,
    "crema_d/1001_DFA_HAP_XX.flv": 56,
}
LONG = "a09_man_talking_portrait_hevc.mp4"
CLIPS = [pytest.param(n, marks=pytest.mark.long) if n == LONG else n for n in FRAMES]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 frames at 10 fps."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", "-bf", "2", seconds=5.0)


@pytest.mark.media
@pytest.mark.parametrize("name", CLIPS)
def test_times_are_those_that_pyav_decodes(media: Path, name: str) -> None:
    with av.open(str(media / name)) as container:
        stream = container.streams.video[0]
        expected = [float(f.pts * f.time_base) for f in container.decode(stream)]
    times = times_of(Media(str(media / name)))
    assert len(times) == FRAMES[name]
    assert times.tolist() == expected
    assert (np.diff(times) > 0).all()


@pytest.mark.media
@pytest.mark.parametrize("name", [n for n in FRAMES if n != LONG and n[:3] != "a01"])
def test_there_are_as_many_pictures_as_times(media: Path, name: str) -> None:
    clip = Media(str(media / name))
    video = clip.probe.video
    assert video is not None
    seen = 0
    for batch in clip.video(16):
        assert batch.frames is not None
        assert batch.start == seen
        assert batch.frames.shape == (len(batch.times), video.height, video.width, 3)
        assert batch.frames.std() > 1
        seen += len(batch.times)
    assert seen == FRAMES[name]


@pytest.mark.media
def test_times_are_the_containers_and_never_start_at_zero_by_force(media: Path) -> None:
    late = times_of(Media(str(media / "a06_stage_dark_profile_many_faces.mp4")))
    varying = times_of(Media(str(media / "a10_man_talking_vfr.mp4")))
    assert late[0] == pytest.approx(0.852, abs=5e-4)
    assert varying[0] == pytest.approx(0.033, abs=5e-4)
    assert varying[-1] > 5.9


@pytest.mark.media
@pytest.mark.parametrize("name", ["a02_single_face_mp3_in_mp4.mp4", "a11_grid_bbaf2n.mpg"])
def test_pictures_look_as_pyav_decodes_them(media: Path, name: str) -> None:
    with av.open(str(media / name)) as container:
        expected = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    frames = next(Media(str(media / name)).video(1)).frames
    assert frames is not None
    # Another scaler's rounding, no other colours.
    assert np.abs(frames[0].astype(int) - expected).mean() < 1.5


def test_the_batch_size_changes_no_number(clip: Path) -> None:
    whole = frames_of(Media(str(clip)), batch=50)
    for batch in (1, 7, 49, 64):
        parts = frames_of(Media(str(clip)), batch=batch)
        assert parts.times.tobytes() == whole.times.tobytes()
        assert parts.frames is not None
        assert whole.frames is not None
        assert parts.frames.tobytes() == whole.frames.tobytes()


def test_only_the_last_batch_is_short(clip: Path) -> None:
    batches = list(Media(str(clip)).video(16, pixels=False))
    assert [(b.start, len(b.times)) for b in batches] == [(0, 16), (16, 16), (32, 16), (48, 2)]
    assert all(b.frames is None for b in batches)


def test_a_cut_holds_the_frames_from_start_to_before_stop(clip: Path) -> None:
    whole = frames_of(Media(str(clip)))
    times = whole.times
    for start, stop in [
        (1.0, 2.0),
        (None, 1.05),
        (4.85, None),
        (0.999, 1.001),
        (times[7], times[9]),
    ]:
        inside = np.ones(len(times), bool)
        inside &= True if start is None else times >= start
        inside &= True if stop is None else times < stop
        part = frames_of(Media(str(clip), start, stop))
        assert part.times.tolist() == times[inside].tolist()
        assert part.frames is not None
        assert whole.frames is not None
        assert (part.frames == whole.frames[inside]).all()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", ["-c:v", "libx264", "-g", "60", "-bf", "3", "-x264-params", "open-gop=1"]),
        ("mp4", ["-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=100"]),
        ("mkv", ["-c:v", "libx264", "-g", "1000", "-bf", "2"]),
        ("mkv", ["-c:v", "mpeg4", "-bf", "2", "-g", "50"]),
        ("mov", ["-c:v", "libx265", "-x265-params", "keyint=80:log-level=none"]),
    ],
)
def test_a_late_cut_is_sought_and_holds_the_same_frames(
    tmp_path: Path, suffix: str, options: list[str]
) -> None:
    made = make_clip(tmp_path / f"long.{suffix}", *options, seconds=60, sound=False)
    # the clock doesn't start at zero
    late = tmp_path / f"late.{suffix}"
    ffmpeg("-i", str(made), "-c", "copy", "-output_ts_offset", "3.5", str(late))
    whole = frames_of(Media(str(late)))
    assert whole.frames is not None
    for start, stop in [(30.0, 31.0), (41.23, 42.0), (62.0, None)]:
        cut = Media(str(late), start, stop)
        assert cut._seek is not None
        inside = (whole.times >= start) & (whole.times < (stop or np.inf))
        part = frames_of(cut)
        assert part.times.tolist() == whole.times[inside].tolist()
        assert part.frames is not None
        assert (part.frames == whole.frames[inside]).all()


@pytest.mark.media
def test_cuts_that_touch_share_no_frame_and_lose_none(media: Path) -> None:
    path = str(media / "a10_man_talking_vfr.mp4")
    whole = times_of(Media(path)).tolist()
    at = whole[50]
    assert times_of(Media(path, None, at)).tolist() == whole[:50]
    assert times_of(Media(path, at, None)).tolist() == whole[50:]


def test_a_cut_without_a_frame_is_told(clip: Path) -> None:
    told = r"clip\.mp4 \[7, 8\) s: no frame .* begin at 0\.000 s and end at 5\.000 s"
    with pytest.raises(EmptyCut, match=told):
        list(Media(str(clip), 7.0, 8.0).video(8))


def test_a_stream_whose_pictures_change_their_size_keeps_the_probed_one(tmp_path: Path) -> None:
    parts = []
    for size in ("64x48", "96x64"):
        parts.append(tmp_path / f"{size}.ts")
        make_clip(parts[-1], sound=False, picture=f"testsrc2=size={size}:rate=10")
    # The second part's times follow the first's.
    ffmpeg("-itsoffset", "1", "-i", str(parts[1]), "-c", "copy", "-copyts", str(tmp_path / "b.ts"))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(parts[0].read_bytes() + (tmp_path / "b.ts").read_bytes())
    clip = frames_of(Media(str(joined)))
    assert clip.frames is not None
    assert clip.frames.shape == (20, 48, 64, 3)


def test_times_that_go_back_are_an_error(tmp_path: Path) -> None:
    part = make_clip(tmp_path / "part.ts", sound=False)
    twice = tmp_path / "twice.ts"
    twice.write_bytes(part.read_bytes() * 2)
    with pytest.raises(DecodeFailed, match="times must increase"):
        list(Media(str(twice)).video(8))


@pytest.mark.skipif(bool(os.environ.get(SETTING)), reason="another ffmpeg may have the decoder")
def test_a_codec_that_our_ffmpeg_lacks_is_told_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "screen.mov"
    with av.open(str(path), "w") as container:
        video = container.add_stream("png", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "rgba"
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 4), np.uint8), format="rgba")
        container.mux(video.encode(picture))
    with pytest.raises(DecodeFailed, match=f"ffmpeg in use can't decode png; .* {SETTING}"):
        list(Media(str(path)).video(8))


def test_frames_further_apart_than_the_limit_are_refused_whatever_the_headers_say(
    clip: Path,
) -> None:
    media = Media(str(clip), limits=Limits(seconds=2.0))
    # headers that don't tell the duration
    object.__setattr__(media, "probe", replace(Media(str(clip)).probe, duration=None))
    with pytest.raises(MediaTooLarge, match=r"frames at 0\.000 s and at 2\.100 s"):
        list(media.video(4, pixels=False))


def test_a_line_without_a_time_is_an_error() -> None:
    assert seconds_of("1024 1/512", "x", "") == 2.0
    for line in ("", "nan 1/25", "5 1/0", "5"):
        with pytest.raises(DecodeFailed, match="without a time"):
            seconds_of(line, "x", "")


def test_pixels_and_times_that_differ_in_number_are_an_error(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.media import video

    def taller(*arguments: object) -> list[str]:
        command = real(*arguments)  # type: ignore[arg-type]
        return [part.replace("64:48", "64:47") for part in command]

    real = video.video_command
    monkeypatch.setattr(video, "video_command", taller)
    with pytest.raises(FrameCountMismatch, match="differ in number"):
        list(Media(str(clip)).video(8))


@pytest.mark.parametrize("content", ["video", "no frames"])
def test_a_stream_that_cannot_be_decoded_is_an_error(tmp_path: Path, content: str) -> None:
    path = make_clip(tmp_path / "clip.mp4", sound=False)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    stop = data.index(b"moov") - 4
    noise = np.random.default_rng(0).integers(0, 256, stop - start, np.uint8).tobytes()
    data[start:stop] = noise if content == "video" else bytes(stop - start)
    path.write_bytes(data)
    with pytest.raises(FeatureError) as caught:
        list(Media(str(path)).video(8))
    assert caught.value.code == "decode_failed"
    assert caught.value.log
