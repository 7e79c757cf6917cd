"""The 34 short-term features: pyAudioAnalysis's own, only faster."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.audio_16k import Audio16k
from features.extractor import Batch
from features.media.media import Media
from features.shortterm import short_term
from features.shortterm_34 import COLUMNS, Shortterm34
from features.spec import SAMPLES_PER_BLOCK, Rows
from tests.features.made_sounds import KINDS, made_sound
from tests.features.short_term_reference import reference, reference_columns

GOLDEN = Path(__file__).parents[1] / "golden" / "shortterm_34.json"
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def waveform(samples: NDArray[np.int16], t0: float = 0.0, valid: bool = True) -> Rows:
    flags = np.full(-(-len(samples) // SAMPLES_PER_BLOCK), valid)
    return Rows(samples, flags, t0, 1 / 16_000, block=SAMPLES_PER_BLOCK)


def rows_of(audio: Rows, **params: float) -> Rows:
    extractor = Shortterm34(Shortterm34.Params(**params))
    extractor.setup("cpu")
    return extractor.extract(Batch(Media("unread.wav"), inputs={"audio": audio}))


@pytest.mark.parametrize("kind", KINDS)
def test_made_sounds_give_what_the_package_gives(kind: str) -> None:
    samples = made_sound(kind, 40_123)
    rows = rows_of(waveform(samples, t0=0.25))
    np.testing.assert_allclose(rows.values, reference(samples, 16_000, 1600, 800), **CLOSE)
    assert (rows.t0, rows.step) == (0.25, 0.05)
    assert rows.values.dtype == np.float32
    assert rows.valid.all()


@pytest.mark.parametrize(("window", "step"), [(0.02, 0.01), (0.05, 0.025), (0.0333, 0.05)])
def test_other_windows_give_what_the_package_gives(window: float, step: float) -> None:
    samples = made_sound("loud and faint", 16_000)
    expected = reference(samples, 16_000, round(window * 16_000), round(step * 16_000))
    rows = rows_of(waveform(samples), window=window, step=step)
    np.testing.assert_allclose(rows.values, expected, **CLOSE)


def test_columns_are_named_as_in_the_package() -> None:
    assert reference_columns() == COLUMNS


@pytest.mark.media
@pytest.mark.parametrize(
    "name",
    ["a05_speech_two_people_12fps.mp4", "a10_man_talking_vfr.mp4", "crema_d/1001_DFA_HAP_XX.flv"],
)
def test_real_clips_give_what_the_package_gives(media: Path, name: str) -> None:
    clip = Media(str(media / name))
    audio = Audio16k(Audio16k.Params()).extract(Batch(clip))
    rows = rows_of(audio)
    samples = np.asarray(audio.values, np.int16)
    np.testing.assert_allclose(rows.values, reference(samples, 16_000, 1600, 800), **CLOSE)
    assert rows.t0 == audio.t0


def test_a_clip_shorter_than_a_window_is_filled_with_zeros_and_valid() -> None:
    samples = made_sound("noise", 900)
    rows = rows_of(waveform(samples))
    filled = np.concatenate([samples, np.zeros(700, np.int16)])
    np.testing.assert_allclose(rows.values, reference(filled, 16_000, 1600, 800), **CLOSE)
    assert rows.valid.tolist() == [True]


def test_without_sound_rows_are_invalid_and_as_many_as_the_clip_would_have() -> None:
    rows = rows_of(waveform(np.zeros(16_000, np.int16), t0=1.5, valid=False))
    assert rows.values.shape == (19, 34)
    assert np.isnan(rows.values).all()
    assert not rows.valid.any()
    assert rows.t0 == 1.5
    assert rows_of(waveform(np.zeros(0, np.int16))).valid.tolist() == [False]


def test_blocks_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = made_sound("noise", 50_000)
    expected = short_term(samples, 16_000, 1600, 800)
    monkeypatch.setattr("features.sound.SAMPLES_PER_BLOCK", 1600 * 7)
    found = short_term(samples, 16_000, 1600, 800)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_numbers_are_the_golden_ones_of_this_version() -> None:
    golden = json.loads(GOLDEN.read_text())
    changed = "shortterm_34's numbers have changed: if that is meant, bump its version"
    assert golden["version"] == Shortterm34.declaration.version, changed  # type: ignore[attr-defined]
    for kind, values in golden["rows"].items():
        found = rows_of(waveform(made_sound(kind, 4800))).values[[0, 4]]
        assert found == pytest.approx(np.array(values), rel=1e-5, abs=1e-6), changed
