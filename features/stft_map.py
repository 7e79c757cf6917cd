"""Real and imaginary parts of the spectrum of 3 s of speech (Peng et al. 2018, ANet)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.extractor import Batch, Params, extractor
from features.media.media import SPEECH_RATE
from features.media.tools import DECODE_VERSION
from features.sound import decoded, full_scale, heard, silent_span, windows
from features.spec import FeatureSpec, Rows

#: Peng et al. 2018: Hamming window of 25 ms, hop of 10 ms, 512-point transform, maps of 257 x 300
WINDOW, HOP, N_FFT, FRAMES = 400, 160, 512, 300
BINS = N_FFT // 2 + 1
#: 300 uncentred frames need these samples, 3.015 s (the paper's 3 s hold 298 of them)
MAP_SAMPLES = (FRAMES - 1) * HOP + WINDOW
#: one map a second (our choice; the paper has none)
MAPS_EVERY = 100  # frames
STEP = MAPS_EVERY * HOP / SPEECH_RATE


@extractor(
    name="stft_map",
    version=1,
    reads="audio",
    scope="clip",
    tools={"decode": DECODE_VERSION},
)
class StftMap:
    """Spectrum maps of 257 frequencies x 300 frames x (real, imaginary), one each second.

    Rate ``segment``, step 1 s: row i holds the sound from t0 + i s on, for 3.015 s, and t0 is the
    time of the track's first sample. Peng et al. 2018, section on ANet: 16 kHz mono (ffmpeg's own
    resampling), Hamming window of 25 ms, hop of 10 ms, 512-point transform. Our choices where the
    paper is silent: frames aren't centred, the window is symmetric (0.54 - 0.46 cos), there is no
    pre-emphasis, and a clip of less than 3.015 s is repeated until it fills one map. What remains
    after the last whole map is left out. Each map is (x - mean) / max |x| over both channels
    together, as in the authors' code; digital silence gives zeros, which are valid. Without a
    track: as many invalid maps as the clip's headers say it is long.
    """

    class Params(Params):
        """None: the network takes maps of this one shape."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="stft_map",
            rate="segment",
            dims=(BINS, FRAMES, 2),
            dtype="float32",
            columns=("real", "imaginary"),
            units="share of the map's largest value",
            description="spectrum maps of 3 s, one each second (peng2018)",
            span=MAP_SAMPLES / SPEECH_RATE,
            every=STEP,
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """Values ``(maps, 257, 300, 2)``, at least one map."""
        wave = decoded(batch.media, SPEECH_RATE)
        if wave is None:
            start, samples = silent_span(batch.media, SPEECH_RATE)
            return self.outputs[0].invalid(count_maps(samples), t0=start, step=STEP)
        values = stft_maps(wave.samples)
        valid = heard(
            len(wave.samples), wave.holes, np.arange(len(values)) * MAPS_EVERY * HOP, MAP_SAMPLES
        )
        values[~valid] = np.nan
        return Rows(values, valid, wave.t0, STEP)


def count_maps(samples: int) -> int:
    """Maps of a clip of so many samples: one each second while 3.015 s remain, at least one."""
    return 1 + max(0, samples - MAP_SAMPLES) // (MAPS_EVERY * HOP)


def stft_maps(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """``(maps, 257, 300, 2)`` of mono int16 at 16 kHz (at least one sample)."""
    import scipy.fft

    maps = count_maps(len(samples))
    sound = samples
    if len(sound) < MAP_SAMPLES:
        sound = np.resize(sound, MAP_SAMPLES)
    taper = np.hamming(WINDOW)
    # Maps start on frames, so a frame is transformed once for all the maps that it is part of.
    frames = np.empty((FRAMES, BINS), np.complex128)
    out = np.empty((maps, BINS, FRAMES, 2), np.float32)
    for row in range(maps):
        kept = FRAMES - MAPS_EVERY if row else 0
        frames[:kept] = frames[FRAMES - kept :]
        fresh = sound[(row * MAPS_EVERY + kept) * HOP : row * MAPS_EVERY * HOP + MAP_SAMPLES]
        for at, block in windows(fresh, WINDOW, HOP):
            frames[kept + at :][: len(block)] = scipy.fft.rfft(full_scale(block) * taper, N_FFT)
        parts = np.stack([frames.T.real, frames.T.imag], axis=-1)
        largest = np.abs(parts).max()
        out[row] = (parts - parts.mean()) / (largest if largest > 0 else 1.0)
    return out
