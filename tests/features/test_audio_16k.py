"""The 16 kHz waveform: samples untouched, absence told by validity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from features.audio_16k import Audio16k
from features.extractor import Batch
from features.media.media import Media
from features.spec import SAMPLES_PER_BLOCK, Rows
from tests.features.made_clips import make_clip


def audio_of(media: Media) -> Rows:
    extractor = Audio16k(Audio16k.Params())
    extractor.setup("cpu")
    return extractor.extract(Batch(media))


@pytest.mark.media
def test_samples_equal_the_reference_to_the_bit(media: Path) -> None:
    _, expected = wavfile.read(media / "crema_d" / "1001_DFA_ANG_XX.ref16k.wav")
    rows = audio_of(Media(str(media / "crema_d" / "1001_DFA_ANG_XX.flv")))
    assert np.array_equal(rows.values, expected)
    assert rows.values.dtype == np.int16
    assert (rows.t0, rows.step, rows.block) == (0.0, 1 / 16_000, SAMPLES_PER_BLOCK)
    assert rows.valid.all()


@pytest.mark.media
def test_silence_is_valid(media: Path) -> None:
    rows = audio_of(Media(str(media / "a01_woman_emotions_silent_audio.mp4")))
    assert not rows.values.any()
    assert rows.valid.all()
    assert len(rows.valid) == -(-rows.rows // SAMPLES_PER_BLOCK)


@pytest.mark.media
def test_sound_that_starts_late_says_so(media: Path) -> None:
    rows = audio_of(Media(str(media / "a03_face_then_noface_vfr_hevc.mov")))
    assert rows.t0 == pytest.approx(2.43002, abs=1e-5)


@pytest.mark.media
def test_without_a_track_there_are_invalid_zeros_for_the_clips_duration(media: Path) -> None:
    rows = audio_of(Media(str(media / "a08_closeup_no_audio_720x576.mp4")))
    assert rows.rows == 48_000
    assert rows.values.dtype == np.int16
    assert not rows.values.any()
    assert not rows.valid.any()


def test_a_cut_without_a_track_is_as_long_as_the_cut(tmp_path: Path) -> None:
    path = str(make_clip(tmp_path / "mute.mp4", seconds=2.0, sound=False))
    rows = audio_of(Media(path, 0.5, 1.25))
    assert (rows.rows, rows.t0) == (12_000, 0.5)
    beyond = audio_of(Media(path, 1.5, 9.0))
    assert (beyond.rows, beyond.t0) == (8_000, 1.5)


def test_a_cut_takes_its_samples_from_the_whole(tmp_path: Path) -> None:
    path = str(make_clip(tmp_path / "clip.mp4", seconds=2.0))
    whole, part = audio_of(Media(path)), audio_of(Media(path, 0.5, 1.25))
    assert np.array_equal(part.values, whole.values[8_000:20_000])
    assert (part.t0, part.rows) == (0.5, 12_000)


def test_a_cut_that_the_sound_does_not_reach_is_invalid(tmp_path: Path) -> None:
    path = tmp_path / "short_sound.mp4"
    make_clip(path, "-af", "atrim=end=1", seconds=3.0)
    rows = audio_of(Media(str(path), 2.0, 2.5))
    assert (rows.rows, rows.t0) == (8_000, 2.0)
    assert not rows.valid.any()
