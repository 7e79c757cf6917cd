"""64 mel bands of power in decibels at 10 ms (Kuhnke et al. 2020, aural stream)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from features.extractor import Batch, Params, extractor
from features.media.tools import DECODE_VERSION
from features.sound import decoded, full_scale, heard, silent_span, windows
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Kuhnke et al. 2020 (the paper's 41 kHz is a slip): 20 ms windows every 10 ms, 64 bands
RATE, WINDOW, HOP, N_FFT, BANDS = 44_100, 882, 441, 1024, 64
STEP = HOP / RATE
#: torchaudio.transforms.AmplitudeToDB: powers below this count as this
AMIN = 1e-10


@extractor(
    name="logmel_64",
    version=1,
    reads="audio",
    scope="clip",
    tools={"decode": DECODE_VERSION},
)
class Logmel64:
    """Power of 64 mel bands (HTK scale, 0 to 22,050 Hz) in dB, one row each 10 ms of sound.

    Rate ``segment``, step 10 ms: row i is centred on t0 + i/100 s, and t0 is the time of the
    track's first sample. 44.1 kHz mono (ffmpeg's own resampling), periodic Hann window of 882
    samples in the middle of 1,024, the sound reflected at both borders, so there are
    1 + samples // 441 rows however short it is; what torchaudio's MelSpectrogram and
    AmplitudeToDB give for the whole clip. 80 dB of range and (x + 14.8) / 19.895 belong to the
    10 s that a model sees, and are done when those are cut: ``storage.audio_windows``. Digital
    silence is -100 dB and valid. Without a track: invalid rows for as long as the clip lasts by
    its headers.
    """

    class Params(Params):
        """None: the released weights take these bands."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="logmel_64",
            rate="segment",
            dims=(BANDS,),
            dtype="float32",
            columns=tuple(f"mel_{i}" for i in range(BANDS)),
            units="dB",
            description="64 mel bands each 10 ms, cut to 10 s by the reader (kuhnke2020)",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """Values ``(rows, 64)``."""
        wave = decoded(batch.media, RATE)
        if wave is None:
            start, samples = silent_span(batch.media, RATE)
            return self.outputs[0].invalid(1 + samples // HOP, t0=start, step=STEP)
        values = logmel(wave.samples)
        starts = np.arange(len(values)) * HOP - WINDOW // 2
        valid = heard(len(wave.samples), wave.holes, starts, WINDOW)
        values[~valid] = np.nan
        return Rows(values, valid, wave.t0, STEP)


def logmel(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """``(1 + samples // 441, 64)`` dB of mono int16 at 44.1 kHz (at least one sample)."""
    import scipy.fft
    import scipy.signal

    # The window is zero outside its 882 samples: only those are cut out, and padded for the FFT.
    # Where they lie in the 1,024 doesn't matter for power.
    centred = np.pad(samples, WINDOW // 2, mode="reflect")
    taper = scipy.signal.get_window("hann", WINDOW)
    out = np.empty((1 + len(samples) // HOP, BANDS), np.float32)
    for at, block in windows(centred, WINDOW, HOP):
        spectrum = scipy.fft.rfft(full_scale(block) * taper, N_FFT)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel = (_mel_bank() @ power.T).T
        out[at : at + len(block)] = 10.0 * np.log10(np.maximum(mel, AMIN))
    return out


@cache
def _mel_bank() -> csr_array:
    """``(64, 513)`` triangles on the HTK mel scale, of height 1, as torchaudio makes them.

    Sparse: each frequency lies in two of them, and sums are in the same order on every machine.
    """
    from scipy.sparse import csr_array

    frequencies = np.linspace(0.0, RATE // 2, N_FFT // 2 + 1)
    highest = 2595.0 * np.log10(1.0 + (RATE / 2) / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, highest, BANDS + 2) / 2595.0) - 1.0)
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (frequencies - left) / (middle - left)
    falling = (right - frequencies) / (right - middle)
    return csr_array(np.maximum(0.0, np.minimum(rising, falling)))
