"""168 numbers of sound per frame: librosa's own, only faster."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features import segment_features as batched
from features.errors import MediaTooLarge
from features.extractor import Batch
from features.media.media import Media
from features.media.packets import frame_duration
from features.mfcc_mel import MfccMel
from features.segment_features import segment_features
from features.segments import Segments, lay_segments
from features.spec import Rows
from tests.features.made_clips import ffmpeg, make_clip, times_of
from tests.features.mel_loop import RATE, loop_features

GOLDEN = Path(__file__).parents[1] / "golden" / "mfcc_mel.json"


def rows_of(media: Media, **params: str) -> Rows:
    times = times_of(media)
    extractor = MfccMel(MfccMel.Params(**params))
    extractor.setup("cpu")
    inputs = {"timeline": Rows(times, np.ones(len(times), bool))}
    return extractor.extract(Batch(media, inputs=inputs))


def even_segments(frames: int, fps: float = 30.0) -> Segments:
    return lay_segments(np.arange(frames) / fps, 1 / fps, RATE, "uniform")


def assert_close(found: NDArray[np.generic], expected: NDArray[np.float64]) -> None:
    """1e-4 relative, column for column; cepstra near zero by the size of their own segment's."""
    found = found.astype(np.float64)
    size = np.abs(expected)
    size[:, :40] = np.maximum(size[:, :40], 1e-2 * size[:, :40].max(axis=1, keepdims=True))
    assert (
        np.abs(found - expected).max() == 0
        or (np.abs(found - expected) <= 1e-4 * size + 1e-12).all()
    )


def made_sound(kind: str, samples: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    time = np.arange(samples) / RATE
    sounds = {
        "noise": rng.standard_normal(samples) * 0.1,
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time),
        "sweep": 0.5 * np.sin(2 * np.pi * (50 + 1000 * time) * time),
        "silence": np.zeros(samples),
        "clicks": (np.arange(samples) % 5000 == 0) * 1.0,
        "loud and faint": rng.standard_normal(samples) * np.where(time % 1 < 0.5, 1, 1e-6),
    }
    return sounds[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "tone", "sweep", "silence", "clicks", "loud and faint"])
def test_made_signals_give_what_a_loop_over_librosa_gives(kind: str) -> None:
    segments = even_segments(50)
    sound = made_sound(kind, segments.total)
    assert_close(segment_features(sound, segments), loop_features(sound, segments))


@pytest.mark.parametrize(
    ("frames", "fps"), [(1, 30.0), (2, 30.0), (7, 5.0), (20, 12.0), (40, 120.0), (3, 1000.0)]
)
def test_segments_of_any_length_agree_with_librosa(frames: int, fps: float) -> None:
    segments = even_segments(frames, fps)
    sound = made_sound("noise", segments.total)
    assert_close(segment_features(sound, segments), loop_features(sound, segments))


@pytest.mark.media
@pytest.mark.parametrize(
    "name",
    [
        "a02_single_face_mp3_in_mp4.mp4",
        "a05_speech_two_people_12fps.mp4",
        "a11_grid_bbaf2n.mpg",
        "crema_d/1001_DFA_HAP_XX.flv",
    ],
)
def test_real_clips_give_what_a_loop_over_librosa_gives(media: Path, name: str) -> None:
    clip = Media(str(media / name))
    times, wave = times_of(clip), clip.audio_native()
    assert wave is not None
    sound = librosa.resample(wave.samples, orig_sr=wave.rate, target_sr=RATE)
    offset = round((wave.t0 - times[0]) * RATE)
    rows = rows_of(clip)
    last = {"a05": 0.0466667, "100": 0.033}.get(name.split("/")[-1][:3], float(np.diff(times)[-1]))
    segments = lay_segments(times, last, RATE, "auto")
    placed = np.zeros(segments.total, np.float32)
    inside = sound[max(0, -offset) :][: segments.total - max(0, offset)]
    placed[max(0, offset) :][: len(inside)] = inside
    assert rows.valid.all()
    assert_close(rows.values, loop_features(placed, segments))


@pytest.mark.parametrize("spectra", [30, 64, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_neither_block_size_nor_threads_change_a_bit(
    spectra: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = even_segments(102)
    sound = made_sound("noise", segments.total)
    expected = segment_features(sound, segments)
    monkeypatch.setattr(batched, "SPECTRA_PER_BLOCK", spectra)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert segment_features(sound, segments).tobytes() == expected.tobytes()
    finally:
        torch.set_num_threads(before)


@pytest.mark.media
def test_rows_before_a_late_sound_are_invalid(media: Path) -> None:
    clip = Media(str(media / "a03_face_then_noface_vfr_hevc.mov"))
    rows, times = rows_of(clip), times_of(clip)
    # though the segment of the frame before it, at 2.4 s, reaches 31 ms into the sound
    assert not rows.valid[times < 2.43].any()
    assert rows.valid[times > 2.43].all()
    assert np.isnan(rows.values[~rows.valid]).all()
    assert np.isfinite(rows.values[rows.valid]).all()


@pytest.mark.media
def test_sound_that_leads_is_cut_at_the_first_frame(media: Path) -> None:
    clip = Media(str(media / "a06_stage_dark_profile_many_faces.mp4"))
    rows = rows_of(clip)
    wave = clip.audio_native()
    assert wave is not None
    sound = librosa.resample(wave.samples, orig_sr=wave.rate, target_sr=RATE)
    lead = round((times_of(clip)[0] - wave.t0) * RATE)
    assert lead == pytest.approx(0.844 * RATE, abs=5)
    first = Segments(np.zeros(1, np.int64), round(2 * 275 / 29.97 / 276 * RATE), RATE)
    assert_close(rows.values[:1], loop_features(sound[lead : lead + first.length], first))
    assert rows.valid.all()


@pytest.mark.media
def test_digital_silence_is_valid(media: Path) -> None:
    rows = rows_of(Media(str(media / "a01_woman_emotions_silent_audio.mp4")))
    assert rows.rows == 472
    assert rows.valid.all()
    # power_to_db of nothing is -100 dB in each band: a constant, of which only MFCC 0 remains.
    assert rows.values[:, 0] == pytest.approx(-100 * np.sqrt(128), rel=1e-5)
    assert np.abs(rows.values[:, 1:]).max() < 1e-3


@pytest.mark.media
def test_without_a_track_all_rows_are_invalid(media: Path) -> None:
    rows = rows_of(Media(str(media / "a07_three_people_no_audio.mp4")))
    assert rows.values.shape == (30, 168)
    assert not rows.valid.any()
    assert np.isnan(rows.values).all()


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("a10_man_talking_vfr.mp4", "timeline"),
        ("a02_single_face_mp3_in_mp4.mp4", "uniform"),
        ("a04_no_face.mp4", "uniform"),
    ],
)
def test_auto_follows_the_frames_only_where_their_rate_varies(
    media: Path, name: str, like: str
) -> None:
    clip = Media(str(media / name))
    assert rows_of(clip).values.tobytes() == rows_of(clip, placement=like).values.tobytes()


@pytest.mark.media
def test_on_a_varying_rate_the_two_placements_differ(media: Path) -> None:
    clip = Media(str(media / "a10_man_talking_vfr.mp4"))
    even, followed = rows_of(clip, placement="uniform"), rows_of(clip, placement="timeline")
    assert (even.values != followed.values).any(axis=1).mean() > 0.5


def test_a_clip_of_one_frame_has_one_row(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "one.mp4", "-frames:v", "1")
    rows = rows_of(Media(str(path)))
    assert rows.values.shape == (1, 168)
    assert rows.valid.all()


def test_a_clip_without_frames_has_no_row(tmp_path: Path) -> None:
    media = Media(str(make_clip(tmp_path / "clip.mp4")))
    nothing = {"timeline": Rows(np.zeros(0), np.zeros(0, bool))}
    rows = MfccMel(MfccMel.Params()).extract(Batch(media, inputs=nothing))
    assert rows.values.shape == (0, 168)
    assert rows.values.dtype == np.float32


def test_sound_moves_with_its_place_in_the_container(tmp_path: Path) -> None:
    burst = "aevalsrc='if(between(t,1,1.1),sin(2*PI*900*t),0)':s=44100"
    path = tmp_path / "burst.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=20", "-f", "lavfi", "-i", burst]
    ffmpeg(*picture, "-t", "3", "-c:v", "libx264", "-c:a", "flac", "-strict", "-2", str(path))
    loudest = rows_of(Media(str(path))).values[:, 40:].sum(axis=1).argmax()
    assert times_of(Media(str(path)))[loudest] == pytest.approx(1.0, abs=0.06)
    cut = Media(str(path), 0.5, 2.0)
    assert times_of(cut)[rows_of(cut).values[:, 40:].sum(axis=1).argmax()] == pytest.approx(
        1.0, abs=0.06
    )


def test_a_picture_that_is_held_at_the_end_moves_no_sound(tmp_path: Path) -> None:
    burst = "aevalsrc='if(between(t,1,1.1),sin(2*PI*900*t),0)':s=44100"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10", "-f", "lavfi", "-i", burst]
    path = tmp_path / "plain.mkv"
    ffmpeg(*picture, "-t", "2", "-c:v", "libx264", "-bf", "0", "-c:a", "pcm_s16le", str(path))
    held = tmp_path / "held.mkv"
    longer = "setts=duration=if(eq(N\\,19)\\,500\\,DURATION)"
    ffmpeg("-i", str(path), "-c", "copy", "-bsf:v", longer, str(held))
    rows = rows_of(Media(str(held)))
    assert times_of(Media(str(held)))[rows.values[:, 40:].sum(axis=1).argmax()] == 1.0


def test_the_last_picture_of_an_interlaced_programme_stream_lasts_a_frame(tmp_path: Path) -> None:
    picture = "testsrc2=size=160x120:rate=50"
    options = ("-vf", "interlace", "-r", "25", "-c:v", "mpeg2video", "-flags", "+ildct+ilme")
    made = make_clip(
        tmp_path / "a.mpg", *options, "-q:v", "2", "-c:a", "mp2", picture=picture, seconds=0.4
    )
    media = Media(str(made))
    assert frame_duration(media, float(times_of(media)[-1])) == 0.04


def test_a_picture_that_is_held_for_ever_is_refused(tmp_path: Path) -> None:
    path, held = make_clip(tmp_path / "plain.mkv", "-bf", "0"), tmp_path / "held.mkv"
    longer = "setts=duration=if(eq(N\\,9)\\,1000000000\\,DURATION)"
    ffmpeg("-i", str(path), "-c", "copy", "-bsf:v", longer, str(held))
    # the header of the whole lies: one second
    whole, double = held.read_bytes(), b"\x44\x89\x88"
    assert whole.count(double) == 1
    at = whole.index(double) + len(double)
    held.write_bytes(whole[:at] + struct.pack(">d", 1000.0) + whole[at + 8 :])
    assert Media(str(held)).probe.duration == 1.0
    with pytest.raises(MediaTooLarge, match=r"its frame at 0\.900 s is shown for 1000000 s"):
        rows_of(Media(str(held)))


def test_numbers_are_the_golden_ones_of_this_version() -> None:
    golden = json.loads(GOLDEN.read_text())
    segments = even_segments(12)
    found = {
        kind: segment_features(made_sound(kind, segments.total), segments)[[0, 11]][:, ::8]
        for kind in ("sweep", "clicks")
    }
    changed = "mfcc_mel's numbers have changed: if that is meant, bump its version and renew golden"
    assert golden["version"] == MfccMel.declaration.version, changed  # type: ignore[attr-defined]
    for kind, values in found.items():
        assert values == pytest.approx(np.array(golden[kind]), rel=2e-4, abs=1e-6), changed
