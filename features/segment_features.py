"""MFCC and mel bands of many short pieces of sound at once, equal to librosa's for each piece."""

from __future__ import annotations

from functools import cache

import librosa
import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from features.segments import N_MELS, N_MFCC, RATE, Segments

#: librosa's defaults (librosa 0.11: feature.mfcc, feature.melspectrogram, power_to_db)
N_FFT, HOP = 2048, 512
AMIN, TOP_DB = 1e-10, 80.0

#: segments that are transformed at once, by the number of spectra that they need; fixed, so that
#: numbers don't depend on how much memory there is
SPECTRA_PER_BLOCK = 128

#: spectra of one segment that are in memory at once: more are in it only where frames lie a
#: minute and more apart
SPECTRA_AT_ONCE = 4096

#: mel bands that share one matrix product
BANDS_PER_GROUP = 16


def segment_features(sound: NDArray[np.float32], segments: Segments) -> NDArray[np.float32]:
    """``(segments, 168)``: time means of MFCC and mel power of each piece of ``sound``.

    ``sound`` is float32 at 22,050 Hz; pieces that reach over its end are filled with zeros. It is
    copied unless it has ``segments.reach`` samples.
    """
    spectra = 1 + segments.length // HOP
    rows = max(1, SPECTRA_PER_BLOCK // spectra)
    padded = sound
    if len(sound) < segments.reach:
        padded = np.zeros(segments.reach, np.float32)
        padded[: len(sound)] = sound
    pieces = torch.from_numpy(padded).unfold(0, segments.length, 1)
    starts = torch.from_numpy(segments.starts)
    # Every block has the same shape, since a matrix product of another may round otherwise.
    starts = torch.nn.functional.pad(starts, (0, -len(starts) % rows))
    out = np.empty((len(starts), N_MFCC + N_MELS), np.float32)
    for at in range(0, len(starts), rows):
        out[at : at + rows] = _features(pieces[starts[at : at + rows]], spectra)
    return out[: len(segments.starts)]


def _features(pieces: torch.Tensor, spectra: int) -> NDArray[np.float32]:
    """Features of ``(n, length)`` pieces, each centred and padded with zeros on its own."""
    margin = N_FFT // 2
    used = min(pieces.shape[1], (spectra - 1) * HOP + margin)
    centred = torch.zeros(len(pieces), (spectra - 1) * HOP + N_FFT)
    centred[:, margin : margin + used] = pieces[:, :used]
    frames = centred.unfold(1, N_FFT, HOP)
    blocks = [_mel(block) for block in torch.split(frames, SPECTRA_AT_ONCE, 1)]
    mel = blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)
    decibels = mel.clamp(min=AMIN).log10_().mul_(10.0)
    # librosa.power_to_db limits to 80 dB under the loudest band of the array that it is given,
    # which is one segment.
    floor = decibels.amax((1, 2), keepdim=True) - TOP_DB
    decibels = torch.maximum(decibels, floor).mean(1)
    # The mean over time and the cosine transform are both linear, so their order is free.
    mfcc = scipy.fft.dct(decibels.numpy(), axis=-1, type=2, norm="ortho")[:, :N_MFCC]
    return np.concatenate([mfcc, mel.mean(1).numpy()], axis=1)


def _mel(frames: torch.Tensor) -> torch.Tensor:
    """Mel power ``(n, spectra, 128)`` of ``(n, spectra, 2048)`` samples."""
    spectrum = torch.fft.rfft(frames * _window()).numpy()
    # torch's memory is aligned, so that products round alike in every run.
    power = torch.empty(spectrum.shape)
    np.add(np.square(spectrum.real), np.square(spectrum.imag), out=power.numpy())
    return torch.cat([power[..., low:high] @ bank for low, high, bank in _mel_banks()], -1)


@cache
def _window() -> torch.Tensor:
    return torch.from_numpy(librosa.filters.get_window("hann", N_FFT).astype(np.float32))


@cache
def _mel_banks() -> tuple[tuple[int, int, torch.Tensor], ...]:
    """Slaney's scale and norm, 0 Hz to half the rate, in groups of bands.

    Each group with the range of frequencies that it looks at, since all others are zeros: one
    product over all of them would take four times as long.
    """
    bank = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=N_MELS, dtype=np.float32)
    groups = []
    for group in np.split(bank, N_MELS // BANDS_PER_GROUP):
        used = np.flatnonzero(group.any(0))
        low, high = int(used[0]), int(used[-1]) + 1
        groups.append((low, high, torch.tensor(group[:, low:high].T.copy())))
    return tuple(groups)
