"""The voice of a demo clip: glottal pulses through formant resonators, no words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from corpora.demo.script import Script

#: samples per second
RATE = 24_000
#: first three formants (Hz) of a, e, i, o, u, male average; ours, after common textbook values
VOWELS = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
)
#: formants (Hz) above those, the same for all vowels
HIGHER = (3500, 4500)
#: bandwidths (Hz) of all five
BANDWIDTHS = (80.0, 100.0, 140.0, 200.0, 250.0)
#: syllables per second at arousal 0, and how many more at arousal 1
SYLLABLES, MORE_SYLLABLES = 3.5, 1.2
#: octaves by which the pitch rises from arousal 0 to 1
PITCH_OCTAVES = 0.7
#: decibels by which the voice is louder at arousal 1 than at 0
LOUDNESS_DB = 9.0
#: octaves by which all formants rise from valence 0 to 1: a smile shortens the vocal tract
FORMANT_OCTAVES = 0.25
#: seconds for which the resonators stay as they are
STILL = 0.02

Array = NDArray[np.float64]


def opening(script: Script, times: Array) -> Array:
    """How far the mouth is open, 0..1: the loudness of the syllables without their emphasis."""
    grid = np.arange(0.0, script.seconds + 0.1, 0.005)
    envelope, _ = _syllables(script, grid)
    return np.interp(times, grid, envelope)


def voice(script: Script) -> NDArray[np.int16]:
    """Mono samples from ``sound_start`` to the clip's stop, at ``RATE``, 16 bit."""
    times = np.arange(round(script.sound_start * RATE), round(script.seconds * RATE)) / RATE
    arousal = script.arousal(times)
    envelope, vowel = _syllables(script, times)
    base = script.subject_random(0).uniform(110.0, 210.0)
    # every voice trembles a little: without it, a pulse train sounds like a buzzer
    drift = gaussian_filter1d(script.random(2).standard_normal(len(times)), RATE / 20)
    pitch = base * 2 ** (PITCH_OCTAVES * arousal + 0.05 * drift / (np.abs(drift).max() + 1e-9))
    source = _pulses(pitch) + 0.03 * script.random(3).standard_normal(len(times))
    sound = np.zeros(len(times))
    raised = 2 ** (FORMANT_OCTAVES * script.valence(times[:: round(STILL * RATE)]))
    for i, formants in enumerate(VOWELS):
        share = gaussian_filter1d((vowel == i).astype(np.float64), RATE * 0.015)
        sound += share * _resonate(source, formants + HIGHER, raised)
    sound /= np.abs(sound).max() + 1e-9
    gain = 0.22 * 10 ** (LOUDNESS_DB * arousal / 20)
    room = 0.0005 * script.random(4).standard_normal(len(times))
    clipped = np.clip(sound * envelope * gain + room, -1.0, 1.0)
    return np.round(clipped * 32_767).astype(np.int16)


def _syllables(script: Script, times: Array) -> tuple[Array, NDArray[np.int64]]:
    """Loudness 0..1 and index of the vowel; faster when aroused, with a pause now and then."""
    grid = np.arange(0.0, script.seconds + 0.2, 0.001)
    rate = SYLLABLES + MORE_SYLLABLES * script.arousal(grid)
    count = np.interp(times, grid, np.cumsum(rate) * 0.001)
    syllable = count.astype(np.int64)
    drawn = script.random(5).integers(0, len(VOWELS), int(syllable.max(initial=0)) + 2)
    pause = syllable % 6 == 5
    shape = np.sin(np.pi * (count - syllable)) ** 0.7
    return np.where(pause, 0.0, shape), drawn[syllable]


def _pulses(pitch: Array) -> Array:
    """Derivative of a rounded glottal flow: opens slowly, closes at once."""
    phase = np.cumsum(pitch / RATE) % 1.0
    flow = np.where(phase < 0.6, np.sin(np.pi * phase / 1.2) ** 2, 0.0)
    return np.diff(flow, prepend=0.0)


def _resonate(source: Array, formants: tuple[int, ...], raised: Array) -> Array:
    """The source through one two-pole resonator after the other, each with gain 1 at 0 Hz.

    Args:
        raised: what the formants are multiplied by, every ``STILL`` seconds.
    """
    out, step = source, round(STILL * RATE)
    for frequency, bandwidth in zip(formants, BANDWIDTHS, strict=True):
        radius = np.exp(-np.pi * bandwidth / RATE)
        parts, state = [], np.zeros(2)
        for i, factor in enumerate(raised.tolist()):
            poles = [1.0, -2 * radius * np.cos(2 * np.pi * frequency * factor / RATE), radius**2]
            part, state = lfilter([sum(poles)], poles, out[i * step : (i + 1) * step], zi=state)
            parts.append(part)
        out = np.concatenate(parts)
    return out
