"""Log spectrogram in 192 frequencies at 5 ms (Birhala et al. 2020), and its windows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.extractor import Batch, Params, extractor
from features.media.media import SPEECH_RATE
from features.media.tools import DECODE_VERSION
from features.sound import decoded, full_scale, heard, silent_span, windows
from features.spec import FeatureSpec, Rows

#: Birhala et al. 2020: input of 192 x 120 for 1.28 s; the transform behind it is our choice:
#: 511 points give 256 frequencies, and 1.28 s are 256 rows of 5 ms
BANDS = 192
N_FFT, WINDOW, HOP = 511, 160, 80
BINS = N_FFT // 2 + 1
FLOOR = 1e-6
STEP = HOP / SPEECH_RATE


@extractor(
    name="spectrogram_192x120",
    version=1,
    reads="audio",
    scope="clip",
    tools={"decode": DECODE_VERSION},
)
class Spectrogram192x120:
    """Log power in 192 frequencies from 0 to 8 kHz, one row each 5 ms of sound.

    Rate ``segment``, step 5 ms: row i is centred on t0 + i/200 s, and t0 is the time of the
    track's first sample. 16 kHz mono (ffmpeg's own resampling) in -1..1, periodic Hann window of
    10 ms, 511-point transform, log(power + 1e-6), bilinear from 256 to 192 frequencies. The
    borders are zeros, so there are 1 + samples // 80 rows however short the clip is. The windows
    of 1.28 s and their bilinear step from 256 rows to 120 columns are the reader's, who knows
    where they lie: ``storage.audio_windows``. Only 192 x 120 and 1.28 s are the paper's, the
    rest is our choice. Digital silence is log(1e-6) and valid. Without a track: invalid rows
    for as long as the clip lasts by its headers.
    """

    class Params(Params):
        """None: the network takes this one shape."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="spectrogram_192x120",
            rate="segment",
            dims=(BANDS,),
            dtype="float32",
            columns=tuple(f"band_{i}" for i in range(BANDS)),
            units="log power",
            description="log spectrogram each 5 ms, cut to 1.28 s by the reader (birhala2020)",
            every=STEP,
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """Values ``(rows, 192)``."""
        wave = decoded(batch.media, SPEECH_RATE)
        if wave is None:
            start, samples = silent_span(batch.media, SPEECH_RATE)
            return self.outputs[0].invalid(1 + samples // HOP, t0=start, step=STEP)
        values = log_spectrogram(wave.samples)
        starts = np.arange(len(values)) * HOP - WINDOW // 2
        valid = heard(len(wave.samples), wave.holes, starts, WINDOW)
        values[~valid] = np.nan
        return Rows(values, valid, wave.t0, STEP)


def log_spectrogram(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """``(1 + samples // 80, 192)`` of mono int16 at 16 kHz."""
    import scipy.fft
    import scipy.signal

    centred = np.pad(samples, WINDOW // 2)
    taper = scipy.signal.get_window("hann", WINDOW)
    low, share = bilinear(BINS, BANDS)
    out = np.empty((1 + len(samples) // HOP, BANDS), np.float32)
    for at, block in windows(centred, WINDOW, HOP):
        spectrum = scipy.fft.rfft(full_scale(block) * taper, N_FFT)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        logs = np.log(power + FLOOR)
        out[at : at + len(block)] = logs[:, low] * (1 - share) + logs[:, low + 1] * share
    return out


def bilinear(size: int, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where ``wanted`` values lie between ``size`` others: lower neighbour, share of the next.

    Both grids cover the same length with half-pixel centres, as OpenCV and torch have it; there
    is no smoothing before values are left out.
    """
    place = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    low = np.minimum(np.floor(place), size - 2).astype(np.int64)
    return low, place - low
