"""The log spectrogram of 5 ms: scipy's, then bilinear."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from features.extractor import Batch
from features.media.media import Media
from features.spec import Rows
from features.spectrogram_192x120 import Spectrogram192x120, log_spectrogram
from tests.features.made_clips import make_clip
from tests.features.made_sounds import KINDS, made_sound, write_wave

GOLDEN = Path(__file__).parents[1] / "golden" / "spectrogram_192x120.json"


def rows_of(media: Media) -> Rows:
    extractor = Spectrogram192x120(Spectrogram192x120.Params())
    extractor.setup("cpu")
    return extractor.extract(Batch(media))


def scipys(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """``(rows, 256)`` log power by scipy's own short-time transform."""
    window = scipy.signal.get_window("hann", 160)
    transform = scipy.signal.ShortTimeFFT(window, 80, 16_000, mfft=511, scale_to=None)
    sound = np.concatenate([np.zeros(80), samples / 32_768.0, np.zeros(240)])
    columns = transform.stft(sound, p0=1, p1=2 + len(samples) // 80)
    return np.log(np.abs(columns.T) ** 2 + 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [20_000, 100, 1])
def test_rows_are_scipys_with_192_frequencies(kind: str, samples: int) -> None:
    sound = made_sound(kind, samples)
    full = scipys(sound).astype(np.float32)
    expected = cv2.resize(full, (192, len(full)), interpolation=cv2.INTER_LINEAR)
    found = log_spectrogram(sound)
    assert found.shape == (1 + samples // 80, 192)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


def test_a_click_lies_in_the_row_of_its_time(tmp_path: Path) -> None:
    samples = np.zeros(32_000, np.int16)
    samples[24_000] = 20_000
    path = write_wave(tmp_path / "click.wav", samples, 16_000)
    for media in (Media(path), Media(path, 0.75, 1.75)):
        rows = rows_of(media)
        loudest = rows.values.mean(axis=1).argmax()
        assert rows.step is not None
        assert rows.t0 + loudest * rows.step == pytest.approx(1.5, abs=1e-9)
        assert rows.valid.all()


def test_without_a_track_rows_are_invalid(tmp_path: Path) -> None:
    rows = rows_of(Media(str(make_clip(tmp_path / "mute.mp4", seconds=2.0, sound=False))))
    assert rows.values.shape == (401, 192)
    assert np.isnan(rows.values).all()
    assert not rows.valid.any()


@pytest.mark.media
def test_real_clips_give_the_same(media: Path) -> None:
    clip = Media(str(media / "crema_d" / "1001_DFA_HAP_XX.flv"))
    wave = clip.audio_s16()
    assert wave is not None
    full = scipys(wave.samples).astype(np.float32)
    expected = cv2.resize(full, (192, len(full)), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(rows_of(clip).values, expected, atol=1e-5, rtol=1e-5)


def test_numbers_are_the_golden_ones_of_this_version() -> None:
    golden = json.loads(GOLDEN.read_text())
    changed = "spectrogram_192x120's numbers have changed: if that is meant, bump its version"
    version = Spectrogram192x120.declaration.version  # type: ignore[attr-defined]
    assert golden["version"] == version, changed
    for kind, values in golden["rows"].items():
        found = log_spectrogram(made_sound(kind, 1600))[[0, 10], ::8]
        assert found == pytest.approx(np.array(values), rel=1e-5, abs=1e-5), changed
