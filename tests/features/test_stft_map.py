"""Spectrum maps of 3 s: numpy's own transform, written out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.extractor import Batch
from features.media.media import Media
from features.spec import Rows
from features.stft_map import MAP_SAMPLES, StftMap, stft_maps
from tests.features.made_clips import make_clip
from tests.features.made_sounds import KINDS, made_sound, write_wave

#: of the maps of two sounds in steps of 1/1024, version 1
GOLDEN = {
    "version": 1,
    "sweep": "4da6eadf51172367690f5858d36fd746bfb05c42c0c68b22c585368691465cb1",
    "clicks": "1444ff8be1a69f60c9f18d69fa753501e5665a629ce16f9b1d7939944c24c50a",
}


def rows_of(media: Media) -> Rows:
    extractor = StftMap(StftMap.Params())
    extractor.setup("cpu")
    return extractor.extract(Batch(media))


def written_out(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """One frame after the other, one map after the other."""
    sound = samples.astype(np.float64)
    while len(sound) < 48_240:
        sound = np.concatenate([sound, samples])
    if len(samples) < 48_240:
        sound = sound[:48_240]
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)
    maps = []
    for start in range(0, len(sound) - 48_240 + 1, 16_000):
        made = np.zeros((257, 300, 2))
        for frame in range(300):
            at = start + frame * 160
            spectrum = np.fft.fft(sound[at : at + 400] * hamming, 512)[:257]
            made[:, frame, 0], made[:, frame, 1] = spectrum.real, spectrum.imag
        size = max(abs(made.max()), abs(made.min()))
        maps.append((made - made.mean()) / size if size else made)
    return np.array(maps)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_those_of_the_transform_written_out(kind: str) -> None:
    samples = made_sound(kind, 90_000)
    found, expected = stft_maps(samples), written_out(samples)
    assert found.shape == (3, 257, 300, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "maps"),
    [(1, 1), (300, 1), (MAP_SAMPLES - 1, 1), (MAP_SAMPLES, 1), (64_239, 1), (64_240, 2)],
)
def test_there_is_one_map_a_second_and_at_least_one(samples: int, maps: int) -> None:
    sound = made_sound("noise", samples)
    found = stft_maps(sound)
    assert len(found) == maps
    np.testing.assert_allclose(found[0], written_out(sound)[0], atol=1e-5)


def test_maps_lie_on_the_clips_clock(tmp_path: Path) -> None:
    samples = made_sound("noise", 80_000)
    path = write_wave(tmp_path / "x.wav", samples, 16_000)
    whole, cut = rows_of(Media(path)), rows_of(Media(path, 1.0, 4.5))
    assert (whole.rows, whole.t0, whole.step) == (2, 0.0, 1.0)
    assert (cut.rows, cut.t0) == (1, 1.0)
    assert np.array_equal(cut.values[0], whole.values[1])


def test_without_a_track_maps_are_invalid(tmp_path: Path) -> None:
    rows = rows_of(Media(str(make_clip(tmp_path / "mute.mp4", seconds=4.1, sound=False))))
    assert rows.values.shape == (2, 257, 300, 2)
    assert np.isnan(rows.values).all()
    assert not rows.valid.any()


@pytest.mark.media
def test_real_clips_give_the_same(media: Path) -> None:
    late = rows_of(Media(str(media / "a03_face_then_noface_vfr_hevc.mov")))
    assert late.t0 == pytest.approx(2.43002, abs=1e-5)
    speech = Media(str(media / "a05_speech_two_people_12fps.mp4"))
    wave = speech.audio_s16()
    assert wave is not None
    np.testing.assert_allclose(rows_of(speech).values, written_out(wave.samples), atol=1e-5)


@pytest.mark.media
def test_digital_silence_is_zero_and_valid(media: Path) -> None:
    rows = rows_of(Media(str(media / "a01_woman_emotions_silent_audio.mp4")))
    assert rows.rows == 17
    assert rows.valid.all()
    assert not rows.values.any()


def test_numbers_are_the_golden_ones_of_this_version() -> None:
    changed = "stft_map's numbers have changed: if that is meant, bump its version"
    assert GOLDEN["version"] == StftMap.declaration.version, changed  # type: ignore[attr-defined]
    for kind in ("sweep", "clicks"):
        steps = np.floor(stft_maps(made_sound(kind, 3000))[:, ::4, ::7] * 1024 + 0.37)
        found = hashlib.sha256(steps.astype("<i2").tobytes()).hexdigest()
        assert found == GOLDEN[kind], changed
