"""Sound: ffmpeg's samples to the bit, placed on the container's clock."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile

from features.media.media import Media
from features.media.programs import ffmpeg_path
from tests.features.made_clips import ffmpeg, make_clip

SOUNDING = {
    "a01_woman_emotions_silent_audio.mp4": 0.0,
    "a02_single_face_mp3_in_mp4.mp4": 0.0,
    "a03_face_then_noface_vfr_hevc.mov": 2.43002,
    "a05_speech_two_people_12fps.mp4": 0.0,
    "a06_stage_dark_profile_many_faces.mp4": 0.00800,
    "a10_man_talking_vfr.mp4": 0.0,
    "a11_grid_bbaf2n.mpg": 0.0,
}


def plain_ffmpeg(path: Path, *options: str) -> bytes:
    """What ffmpeg's own command line gives, raw."""
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-i", str(path), "-vn", *options, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def s16(media: Media, rate: int = 16_000) -> NDArray[np.int16]:
    wave = media.audio_s16(rate)
    assert wave is not None
    return wave.samples


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s of a sweep, so that no two moments are alike."""
    path = tmp_path_factory.mktemp("clip") / "sweep.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10"]
    sweep = ["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*(100+400*t)*t):s=44100"]
    ffmpeg(*picture, *sweep, "-t", "3", "-c:v", "libx264", "-c:a", "aac", str(path))
    return path


@pytest.mark.media
@pytest.mark.parametrize("name", ["1001_DFA_ANG_XX", "1001_DFA_HAP_XX"])
def test_16_khz_samples_equal_the_reference_to_the_bit(media: Path, name: str) -> None:
    rate, expected = wavfile.read(media / "crema_d" / f"{name}.ref16k.wav")
    wave = Media(str(media / "crema_d" / f"{name}.flv")).audio_s16()
    assert wave is not None
    assert (wave.rate, rate) == (16_000, 16_000)
    assert wave.samples.dtype == np.int16
    assert np.array_equal(wave.samples, expected)


@pytest.mark.media
@pytest.mark.parametrize("name", SOUNDING)
def test_samples_are_those_of_the_plain_command_line(media: Path, name: str) -> None:
    expected = plain_ffmpeg(media / name, "-ac", "1", "-ar", "16000", "-f", "s16le")
    assert s16(Media(str(media / name))).astype("<i2").tobytes() == expected


@pytest.mark.media
@pytest.mark.parametrize("name", SOUNDING)
def test_the_first_sample_has_the_containers_time(media: Path, name: str) -> None:
    clip = Media(str(media / name))
    low, native = clip.audio_s16(), clip.audio_native()
    assert low is not None
    assert native is not None
    assert low.t0 == pytest.approx(SOUNDING[name], abs=1e-5)
    assert native.t0 == low.t0
    assert native.stop == pytest.approx(low.stop, abs=1e-4)


@pytest.mark.media
def test_digital_silence_is_sound_and_no_track_is_none(media: Path) -> None:
    silent = s16(Media(str(media / "a01_woman_emotions_silent_audio.mp4")))
    assert len(silent) > 300_000
    assert not silent.any()
    mute = Media(str(media / "a07_three_people_no_audio.mp4"))
    assert mute.audio_s16() is None
    assert mute.audio_native() is None


@pytest.mark.media
def test_native_sound_is_the_mean_of_the_channels(media: Path) -> None:
    path = media / "a02_single_face_mp3_in_mp4.mp4"
    stereo = np.frombuffer(plain_ffmpeg(path, "-f", "f32le"), "<f4").reshape(-1, 2)
    wave = Media(str(path)).audio_native()
    assert wave is not None
    assert wave.rate == 44_100
    assert wave.samples.dtype == np.float32
    assert np.array_equal(wave.samples, librosa.to_mono(stereo.T))


def test_native_sound_of_many_channels_is_their_plain_mean(tmp_path: Path) -> None:
    path = tmp_path / "six.wav"
    ffmpeg("-f", "lavfi", "-i", "aevalsrc=.1|.2|.3|.4|.5|.0:c=5.1:s=48000:d=1", str(path))
    wave = Media(str(path)).audio_native()
    assert wave is not None
    assert wave.samples == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("delay", [0.5, 1.25])
def test_sound_that_starts_late_is_placed_late(clip: Path, tmp_path: Path, delay: float) -> None:
    late = tmp_path / "late.mov"
    # PCM, since a copy of AAC keeps the samples in front of the first that is heard.
    shifted = ["-itsoffset", str(delay), "-i", str(clip), "-map", "0:v", "-map", "1:a"]
    ffmpeg("-i", str(clip), *shifted, "-c:v", "copy", "-c:a", "pcm_s16le", str(late))
    plain, wave = Media(str(clip)).audio_s16(), Media(str(late)).audio_s16()
    assert plain is not None
    assert wave is not None
    assert wave.t0 == pytest.approx(delay, abs=0.002)
    at = round((1.0 + delay - wave.t0) * 16_000)
    heard = wave.samples[at : at + 1000].astype(float)
    errors = [
        np.abs(plain.samples[16_000 + k : 17_000 + k].astype(float) - heard).mean()
        for k in range(-40, 41)
    ]
    # The sweep tells moments apart; half a sample is lost to each rounding.
    assert abs(int(np.argmin(errors)) - 40) <= 1


@pytest.mark.parametrize(("start", "stop"), [(0.5, 1.5), (None, 1.0), (2.2, None), (0.12345, 0.2)])
def test_a_cut_holds_the_whole_streams_own_samples(
    clip: Path, start: float | None, stop: float | None
) -> None:
    whole = Media(str(clip)).audio_s16()
    part = Media(str(clip), start, stop).audio_s16()
    assert whole is not None
    assert part is not None
    first = 0 if start is None else round(start * 16_000)
    last = len(whole.samples) if stop is None else round(stop * 16_000)
    assert np.array_equal(part.samples, whole.samples[first:last])
    assert part.t0 == pytest.approx(first / 16_000)


def test_cuts_that_touch_share_no_sample_and_lose_none(clip: Path) -> None:
    whole = s16(Media(str(clip)))
    borders = [None, 0.3, 0.77777, 1.00003, 2.5, None]
    parts = [s16(Media(str(clip), a, b)) for a, b in itertools.pairwise(borders)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_cut_beyond_the_sound_is_empty(clip: Path) -> None:
    for wave in (Media(str(clip), 5.0, 6.0).audio_s16(), Media(str(clip), 5.0).audio_native()):
        assert wave is not None
        assert len(wave.samples) == 0
        assert wave.t0 == 5.0


def test_a_long_sound_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=120:r=48000", "-ac", "2", str(path))
    wave = Media(str(path)).audio_s16()
    assert wave is not None
    assert len(wave.samples) == 120 * 16_000
    assert wave.samples.astype("<i2").tobytes() == plain_ffmpeg(
        path, "-ac", "1", "-ar", "16000", "-f", "s16le"
    )


def test_the_default_track_is_taken(clip: Path, tmp_path: Path) -> None:
    two = tmp_path / "two.mp4"
    ffmpeg(
        *("-i", str(clip), "-f", "lavfi", "-i", "anullsrc=channel_layout=5.1", "-shortest"),
        *("-map", "0:v", "-map", "1:a", "-map", "0:a", "-c:v", "copy", "-c:a", "aac"),
        *("-disposition:a:0", "0", "-disposition:a:1", "default", str(two)),
    )
    assert s16(Media(str(two))).any()


def test_sound_alone_is_a_medium(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    ffmpeg("-i", str(clip), "-vn", str(path))
    media = Media(str(path))
    assert media.probe.video is None
    assert len(s16(media)) == pytest.approx(3 * 16_000, abs=1100)


def test_a_mono_clip_in_a_copy_of_another_name_gives_the_same(clip: Path, tmp_path: Path) -> None:
    again = Path(shutil.copy(clip, tmp_path / "again.mp4"))
    assert np.array_equal(s16(Media(str(again))), s16(Media(str(clip))))


def test_a_picture_only_clip_has_no_sound(tmp_path: Path) -> None:
    assert Media(str(make_clip(tmp_path / "mute.mp4", sound=False))).audio_s16() is None
