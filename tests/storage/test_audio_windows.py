"""Windows of sound: silent where there is none, and what the authors' own cuts give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from features import logmel_64, spectrogram_192x120
from features.logmel_64 import logmel
from features.spectrogram_192x120 import log_spectrogram
from storage import audio_windows
from storage.audio_windows import logmel_window, spectrogram_window
from tests.features.made_sounds import made_sound
from tests.features.test_logmel_64 import RATE, mel_power, normalised
from tests.features.test_spectrogram_192x120 import scipys


def test_steps_columns_and_floors_are_those_of_the_extractors() -> None:
    log, spectrum, cut = logmel_64, spectrogram_192x120, audio_windows

    assert (cut.LOGMEL_STEP, cut.LOGMEL_BANDS) == (log.STEP, log.BANDS)
    assert pytest.approx(log.WINDOW / log.RATE) == cut.LOGMEL_SPAN
    assert pytest.approx(10 * np.log10(log.AMIN)) == cut.LOGMEL_FLOOR
    assert (cut.SPECTROGRAM_STEP, cut.SPECTROGRAM_BANDS) == (spectrum.STEP, spectrum.BANDS)
    assert pytest.approx(np.log(spectrum.FLOOR)) == cut.SPECTROGRAM_FLOOR


@pytest.fixture(scope="module")
def long_sound() -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    sound = made_sound("loud and faint", 14 * RATE, RATE)
    return sound, logmel(sound)


@pytest.mark.parametrize("time", [0.0, 2.0, 6.5, 13.0])
def test_centred_windows_have_zero_power_where_there_is_no_sound(
    long_sound: tuple[NDArray[np.int16], NDArray[np.float32]], time: float
) -> None:
    sound, rows = long_sound
    silent = np.zeros((500, 64))
    everywhere = np.concatenate([silent, mel_power(sound), silent])
    expected = normalised(everywhere[round(time * 100) :][:1001])
    found = logmel_window(rows, 5.0, 5.0 + time)
    assert found.shape == (1001, 64)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("time", [0.5, 1.0, 4.0, 7.0, 9.0, 11.0, 13.5])
def test_released_windows_are_what_the_authors_cut(
    long_sound: tuple[NDArray[np.int16], NDArray[np.float32]], time: float
) -> None:
    sound, rows = long_sound
    start = max(0, round(time * RATE) - 5 * RATE)
    piece = sound[start : start + min(10 * RATE, max(round(time * RATE), 882))]
    power = mel_power(piece)
    expected = normalised(np.concatenate([np.zeros((1001 - len(power), 64)), power]))
    found = logmel_window(rows, 5.0, 5.0 + time, border="released")
    # Where a piece's border lies inside the clip, its first and last row are reflections.
    inner = slice(1001 - len(power) + 1, 1000)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)
    before = slice(0, 1001 - len(power))
    np.testing.assert_allclose(found[before], expected[before], atol=1e-4)


@pytest.mark.parametrize("late", [2.43, -0.84])
@pytest.mark.parametrize("frame", [0, 1, 29, 77, 100, 149, 180, 300])
def test_released_windows_begin_with_the_first_frame(
    long_sound: tuple[NDArray[np.int16], NDArray[np.float32]], late: float, frame: int
) -> None:
    sound, rows = long_sound
    # the authors' file: zeros before a sound that comes later than the video, or its start cut off
    moved = round(abs(late) * RATE)
    file = np.pad(sound, (moved, 0)) if late > 0 else sound[moved:]
    time = frame / 30
    start = max(0, int(time * RATE - 5 * RATE))
    power = mel_power(file[start : start + min(10 * RATE, max(int(time * RATE), 882))])
    expected = normalised(np.concatenate([np.zeros((1001 - len(power), 64)), power]))
    found = logmel_window(rows, 1.0 + late, 1.0 + time, "released", begin=1.0)
    # a piece's border inside the sound is a reflection; from 5 s on pieces begin between our rows
    inner = np.arange(1001 - len(power) + 1, 1000)
    if late > 0:
        edge = 1001 - len(power) + round((late - start / RATE) * 100)
        inner = inner[np.abs(inner - edge) > 1]
    if time < 5:
        np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)
    silent, quiet = found == found.min(), expected == expected.min()
    assert (silent[inner].all(1) != quiet[inner].all(1)).sum() <= 1


def test_a_window_far_from_the_sound_is_all_silent() -> None:
    rows = logmel(made_sound("noise", RATE, RATE))
    window = logmel_window(rows, 0.0, 60.0)
    assert window == pytest.approx((-100 + 14.8) / 19.895)


@pytest.mark.parametrize("centre", [0.64, 0.9, 1.234])
def test_a_window_is_the_bilinear_picture_of_its_sound(centre: float) -> None:
    sound = made_sound("sweep", 32_000)
    first = int(np.floor(centre * 200 + 0.5)) - 128
    full = scipys(sound)[first : first + 256].T.astype(np.float32)
    expected = cv2.resize(full, (120, 192), interpolation=cv2.INTER_LINEAR)
    found = spectrogram_window(log_spectrogram(sound), 3.0, 3.0 + centre)
    assert found.shape == (192, 120)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_window_over_the_border_is_silent_there() -> None:
    rows = log_spectrogram(made_sound("noise", 16_000))
    window = spectrogram_window(rows, 0.0, 0.0)
    assert window[:, :59] == pytest.approx(np.log(1e-6))
    assert (window[:, 61:] > -10).mean() > 0.9
    assert spectrogram_window(rows, 0.0, 9.0) == pytest.approx(np.log(1e-6))
