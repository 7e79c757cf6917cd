"""pyAudioAnalysis's short-term features of all windows of a clip at once."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from features.sound import full_scale, windows

#: pyAudioAnalysis 0.3.14, ShortTermFeatures: blocks of the two entropies, share of the roll-off,
#: cepstra, note A0 as the lowest semitone, pitch classes
BLOCKS, ROLLOFF, CEPSTRA, LOWEST, CLASSES = 10, 0.90, 13, 27.5, 12
EPS = float(np.finfo(np.float64).eps)
#: its filter bank (after Slaney's Auditory Toolbox): 13 linear filters from 133.33 Hz on,
#: 27 logarithmic ones
FIRST_HZ, LINEAR_HZ, LOG_RATIO, LINEAR, LOGARITHMIC = 133.33, 200 / 3, 1.0711703, 13, 27

Array = NDArray[np.float64]


def short_term(samples: NDArray[np.int16], rate: int, window: int, step: int) -> Array:
    """``(rows, 34)`` of mono int16 samples, at least one; ``window`` and ``step`` in samples.

    Equal to ``ShortTermFeatures.feature_extraction(samples, rate, window, step, deltas=False)``,
    transposed. Fewer samples than a window are filled up with zeros first.
    """
    if len(samples) < window:
        samples = np.pad(samples, (0, window - len(samples)))
    # Sums of 16-bit samples are exact, so mean and peak need no second copy of the whole sound.
    mean = float(full_scale(samples.sum(dtype=np.int64))) / len(samples)
    highest, lowest = full_scale(samples.max()) - mean, full_scale(samples.min()) - mean
    peak = max(highest, -lowest) + 1e-10
    out = np.empty(((len(samples) - window) // step + 1, 34))
    before: Array | None = None
    for at, some in windows(samples, window, step):
        frames = full_scale(some)
        frames -= mean
        frames /= peak
        size = window // 2
        magnitude = np.abs(scipy.fft.rfft(frames)[:, :size])
        magnitude /= size
        shares = magnitude / (magnitude + EPS).sum(axis=1, keepdims=True)
        if before is None:
            before = shares[:1]
        part = out[at : at + len(frames)]
        part[:, 6] = np.square(np.diff(shares, axis=0, prepend=before)).sum(axis=1)
        before = shares[-1:]
        _waves(part, frames)
        _spectral(part, magnitude, rate)
    return out


def _waves(out: Array, frames: Array) -> None:
    """Fill in sign changes, energy and its entropy, of ``(n, window)`` frames."""
    signs = (frames > 0).view(np.int8) - (frames < 0).view(np.int8)
    # A zero on the way from one sign to the other counts as half a change, twice.
    steps = np.abs(np.diff(signs, axis=1)).sum(axis=1, dtype=np.int64)
    out[:, 0] = steps / 2 / (frames.shape[1] - 1.0)
    squares = np.square(frames)
    energy = squares.sum(axis=1)
    out[:, 1] = energy / frames.shape[1]
    out[:, 2] = _entropy(squares, energy)


def _spectral(out: Array, magnitude: Array, rate: int) -> None:
    """Fill in what one spectrum tells, of ``(n, window // 2)`` magnitudes."""
    size = magnitude.shape[1]
    power = np.square(magnitude)
    total = power.sum(axis=1)
    out[:, 3], out[:, 4] = _centroid_and_spread(magnitude, rate)
    out[:, 5] = _entropy(power, total)
    out[:, 7] = _rolloff(power, total)
    mel = np.log10((_mel_bank(rate, size) @ magnitude.T).T + EPS)
    out[:, 8:21] = scipy.fft.dct(mel, type=2, norm="ortho", axis=1)[:, :CEPSTRA]
    chroma = (_chroma_bank(rate, size) @ power.T).T
    chroma /= np.where(total == 0, EPS, total)[:, None]
    out[:, 21:33] = chroma
    out[:, 33] = chroma.std(axis=1)


def _entropy(energies: Array, total: Array) -> Array:
    """Entropy of the energy in ten blocks; what remains after ten even ones is left out."""
    length = energies.shape[1] // BLOCKS
    blocks = energies[:, : length * BLOCKS].reshape(len(energies), BLOCKS, length).sum(axis=2)
    shares = blocks / (total + EPS)[:, None]
    entropy: Array = -(shares * np.log2(shares + EPS)).sum(axis=1)
    return entropy


def _centroid_and_spread(magnitude: Array, rate: int) -> tuple[Array, Array]:
    """Both as shares of half the rate."""
    half = rate / 2.0
    hertz = np.arange(1, magnitude.shape[1] + 1) * (half / magnitude.shape[1])
    largest = magnitude.max(axis=1)
    # The package divides each spectrum by its largest value first; here its sums are.
    scale = np.where(largest == 0, EPS, largest)
    total = magnitude.sum(axis=1) / scale + EPS
    centroid = np.einsum("ij,j->i", magnitude, hertz) / scale / total
    away = hertz - centroid[:, None]
    spread = np.sqrt(np.einsum("ij,ij,ij->i", away, away, magnitude) / scale / total)
    return centroid / half, spread / half


def _rolloff(power: Array, total: Array) -> Array:
    """Where 90 % of the power is passed, as a share of all frequencies; 0 if it never is."""
    # torch adds in the same order as numpy, and takes a fifth of the time
    until = torch.cumsum(torch.from_numpy(power), 1).numpy()
    passed = until + EPS > ROLLOFF * total[:, None]
    # argmax gives the first True, and 0 where there is none
    place: Array = passed.argmax(axis=1) / power.shape[1]
    return place


@cache
def _mel_bank(rate: int, size: int) -> csr_array:
    """``(40, size)`` triangles.

    The package counts frequencies as if the spectrum's half reached up to the whole rate, so that
    each filter lies at half its nominal frequency.
    """
    filters = LINEAR + LOGARITHMIC
    corners = np.empty(filters + 2)
    corners[:LINEAR] = FIRST_HZ + np.arange(LINEAR) * LINEAR_HZ
    corners[LINEAR:] = corners[LINEAR - 1] * LOG_RATIO ** np.arange(1, LOGARITHMIC + 3)
    hertz = np.arange(size) / size * rate
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    height = 2.0 / (right - left)
    place = np.arange(size)
    first, top, last = (np.floor(c * size / rate) for c in (left, middle, right))
    rising = np.where((place > first) & (place <= top), (hertz - left) / (middle - left), 0.0)
    falling = np.where((place > top) & (place <= last), (right - hertz) / (right - middle), 0.0)
    return csr_array(height * (rising + falling))


@cache
def _chroma_bank(rate: int, size: int) -> csr_array:
    """``(12, size)`` weights that take power to pitch classes.

    Of the frequencies that share a semitone the package keeps the last one's power instead of
    their sum. It then divides place i by the number of frequencies in the semitone that
    *frequency i* belongs to, looked up by semitone. Semitones below A0 count from the list's end.
    """
    hertz = np.arange(1, size + 1) * rate / (2 * size)
    semitone = np.round(12.0 * np.log2(hertz / LOWEST)).astype(int)
    if semitone.max() >= size:
        raise ValueError(f"windows of {2 * size} samples are too short for the package's chroma")
    sharing = (semitone[:, None] == semitone[None, :]).sum(axis=1)
    kept = np.full(size, -1)
    kept[semitone] = np.arange(size)
    bank = np.zeros((CLASSES, size))
    for place in np.flatnonzero(kept >= 0):
        bank[place % CLASSES, kept[place]] += 1.0 / sharing[semitone[place]]
    return csr_array(bank)
