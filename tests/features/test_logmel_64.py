"""64 mel bands in dB: torchaudio's published definition, written out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.extractor import Batch
from features.logmel_64 import Logmel64, logmel
from features.media.media import Media
from features.spec import Rows
from tests.features.made_clips import make_clip
from tests.features.made_sounds import KINDS, made_sound, write_wave

GOLDEN = Path(__file__).parents[1] / "golden" / "logmel_64.json"
RATE = 44_100


def rows_of(media: Media) -> Rows:
    extractor = Logmel64(Logmel64.Params())
    extractor.setup("cpu")
    return extractor.extract(Batch(media))


@cache
def mel_bank() -> NDArray[np.float64]:
    """``(513, 64)``: melscale_fbanks(513, 0, 22050, 64, 44100, norm=None, "htk"), one by one."""
    highest = 2595 * np.log10(1 + 22_050 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, 66) / 2595) - 1)
    bank = np.zeros((513, 64))
    for bin_, hertz in enumerate(np.linspace(0, 22_050, 513)):
        for band in range(64):
            left, middle, right = corners[band : band + 3]
            up, down = (hertz - left) / (middle - left), (right - hertz) / (right - middle)
            bank[bin_, band] = max(0.0, min(up, down))
    return bank


def mel_power(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """``(frames, 64)``: MelSpectrogram(44100, 1024, 882, 441, n_mels=64), frame by frame."""
    sound = np.pad(samples / 32_768.0, 512, mode="reflect")
    hann = np.zeros(1024)
    hann[71:953] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(882) / 882)
    frames = []
    for at in range(0, len(sound) - 1024 + 1, 441):
        frames.append(np.abs(np.fft.fft(sound[at : at + 1024] * hann)[:513]) ** 2)
    return np.array(frames) @ mel_bank()


def decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return 10 * np.log10(np.maximum(power, 1e-10))


def normalised(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """AmplitudeToDB("power", 80) of one window, then the authors' mean and deviation."""
    found = decibels(power)
    return (np.maximum(found, found.max() - 80) + 14.8) / 19.895


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [30_000, 700])
def test_rows_are_torchaudios_definition(kind: str, samples: int) -> None:
    sound = made_sound(kind, samples, RATE)
    found, expected = logmel(sound), decibels(mel_power(sound))
    assert found.shape == (1 + samples // 441, 64)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 400])
def test_even_the_shortest_sound_has_a_row(samples: int) -> None:
    values = logmel(made_sound("noise", samples, RATE))
    assert values.shape == (1, 64)
    assert np.isfinite(values).all()


def test_a_tone_lies_in_the_rows_of_its_time(tmp_path: Path) -> None:
    sound = made_sound("tone", 2 * RATE, RATE)
    sound[:RATE] = 0
    path = write_wave(tmp_path / "tone.wav", sound, RATE)
    for media in (Media(path), Media(path, 0.4, 1.7)):
        rows = rows_of(media)
        first = (rows.values.max(axis=1) > -50).argmax()
        assert rows.step is not None
        assert rows.t0 + first * rows.step == pytest.approx(1.0, abs=0.011)
        assert rows.valid.all()


def test_without_a_track_rows_are_invalid(tmp_path: Path) -> None:
    rows = rows_of(Media(str(make_clip(tmp_path / "mute.mp4", seconds=2.0, sound=False))))
    assert rows.values.shape == (201, 64)
    assert np.isnan(rows.values).all()
    assert not rows.valid.any()


@pytest.mark.media
def test_real_clips_give_the_same(media: Path) -> None:
    silent = rows_of(Media(str(media / "a01_woman_emotions_silent_audio.mp4")))
    assert silent.valid.all()
    assert (silent.values == -100).all()
    clip = Media(str(media / "a02_single_face_mp3_in_mp4.mp4"))
    wave = clip.audio_s16(RATE)
    assert wave is not None
    found = rows_of(clip)
    np.testing.assert_allclose(found.values, decibels(mel_power(wave.samples)), atol=1e-4)
    assert found.t0 == wave.t0


def test_numbers_are_the_golden_ones_of_this_version() -> None:
    golden = json.loads(GOLDEN.read_text())
    changed = "logmel_64's numbers have changed: if that is meant, bump its version"
    assert golden["version"] == Logmel64.declaration.version, changed  # type: ignore[attr-defined]
    for kind, values in golden["rows"].items():
        found = logmel(made_sound(kind, 4410, RATE))[[0, 5], ::4]
        assert found == pytest.approx(np.array(values), rel=1e-5, abs=1e-4), changed
