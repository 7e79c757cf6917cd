"""40 MFCC and 128 mel bands of the sound beneath each video frame (Rasipuram et al. 2020)."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import librosa
import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from features.extractor import Batch, Params, extractor
from features.media.audio import Waveform
from features.media.media import Media
from features.media.packets import frame_duration
from features.media.tools import DECODE_VERSION
from features.segments import Placement, Segments, lay_segments
from features.spec import FeatureSpec, Rows

#: librosa's defaults (librosa 0.11: load, feature.mfcc, feature.melspectrogram, power_to_db)
RATE, N_FFT, HOP, N_MELS = 22_050, 2048, 512, 128
AMIN, TOP_DB = 1e-10, 80.0

#: Rasipuram et al. 2020: 40 MFCC beside 128 mel bands, 168 numbers a frame
N_MFCC = 40

#: segments that are transformed at once, by the number of spectra that they need; fixed, so that
#: numbers don't depend on how much memory there is
SPECTRA_PER_BLOCK = 128

#: mel bands that share one matrix product
BANDS_PER_GROUP = 16


@extractor(
    name="mfcc_mel",
    version=1,
    inputs={"timeline": "timeline"},
    reads="audio",
    scope="clip",
    tools={"decode": DECODE_VERSION},
)
class MfccMel:
    """Time means of 40 MFCC and of a 128-band mel power spectrum, one row per video frame.

    The sound (mean of channels, resampled to 22,050 Hz as ``librosa.load`` does) is placed on the
    clip's clock from the first frame's time to the last frame's stop, with silence where the
    track has none, and cut into half-overlapping segments, one per frame
    (``features.segments``). Each is what ``librosa.feature.mfcc`` and ``melspectrogram`` give
    for it, averaged over time. Rows without a sample of the track beneath them are invalid.
    """

    class Params(Params):
        """``placement``: how segments follow the frames, see ``lay_segments`` (our choice)."""

        placement: Placement = "auto"

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="mfcc_mel",
            rate="frame",
            dims=(N_MFCC + N_MELS,),
            dtype="float32",
            columns=tuple(
                [f"mfcc_{i}" for i in range(N_MFCC)] + [f"mel_{i}" for i in range(N_MELS)]
            ),
            units="dB (mfcc), power (mel)",
            description="means of 40 MFCC and 128 mel bands of the sound beneath each frame",
        ),
    )

    def __init__(self, params: MfccMel.Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def extract(self, batch: Batch) -> Rows:
        """Values ``(frames, 168)``, validity per frame."""
        times = np.asarray(batch.inputs["timeline"].values, np.float64)
        spec = self.outputs[0]
        if len(times) == 0:
            return spec.empty()
        wave = batch.media.audio_native()
        duration = _last_duration(batch.media, times)
        if wave is None or len(wave.samples) == 0 or duration is None:
            return spec.invalid(len(times))
        segments = lay_segments(times, duration, RATE, self.params.placement)
        sound, first, stop = _on_clock(wave, float(times[0]), segments)
        values = segment_features(sound, segments)
        valid = (segments.starts < stop) & (segments.starts + segments.length > first)
        values[~valid] = np.nan
        return Rows(values, valid)


def segment_features(sound: NDArray[np.float32], segments: Segments) -> NDArray[np.float32]:
    """``(segments, 168)``: time means of MFCC and mel power of each piece of ``sound``.

    ``sound`` is float32 at 22,050 Hz; pieces that reach over its end are filled with zeros.
    """
    spectra = 1 + segments.length // HOP
    rows = max(1, SPECTRA_PER_BLOCK // spectra)
    padded = torch.zeros(max(segments.total, int(segments.starts[-1])) + segments.length)
    padded[: len(sound)] = torch.from_numpy(sound)
    pieces = padded.unfold(0, segments.length, 1)
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
    frames = centred.unfold(1, N_FFT, HOP) * _window()
    spectrum = torch.fft.rfft(frames).numpy()
    # torch's memory is aligned, so that products round alike in every run.
    power = torch.empty(spectrum.shape)
    np.add(np.square(spectrum.real), np.square(spectrum.imag), out=power.numpy())
    mel = torch.cat([power[..., low:high] @ bank for low, high, bank in _mel_banks()], -1)
    decibels = mel.clamp(min=AMIN).log10_().mul_(10.0)
    # librosa.power_to_db limits to 80 dB under the loudest band of the array that it is given,
    # which is one segment.
    floor = decibels.amax((1, 2), keepdim=True) - TOP_DB
    decibels = torch.maximum(decibels, floor).mean(1)
    # The mean over time and the cosine transform are both linear, so their order is free.
    mfcc = scipy.fft.dct(decibels.numpy(), axis=-1, type=2, norm="ortho")[:, :N_MFCC]
    return np.concatenate([mfcc, mel.mean(1).numpy()], axis=1)


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


def _last_duration(media: Media, times: NDArray[np.float64]) -> float | None:
    """Seconds of the last frame: by its packet, else the one before, else the frame rate."""
    said = frame_duration(media, float(times[-1]))
    if said is not None:
        return said
    if len(times) > 1:
        return float(times[-1] - times[-2])
    video = media.probe.video
    return 1.0 / video.fps if video is not None and video.fps else None


def _on_clock(
    wave: Waveform[np.float32], clock: float, segments: Segments
) -> tuple[NDArray[np.float32], int, int]:
    """Sound from ``clock`` on for ``segments.total`` samples; where the track's own lie in it."""
    sound = librosa.resample(wave.samples, orig_sr=wave.rate, target_sr=RATE, res_type="soxr_hq")
    offset = round((wave.t0 - clock) * RATE)
    first, stop = max(0, offset), min(segments.total, offset + len(sound))
    placed = np.zeros(segments.total, np.float32)
    if first < stop:
        placed[first:stop] = sound[first - offset : stop - offset]
    return placed, first, max(first, stop)
