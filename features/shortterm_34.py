"""34 short-term features of speech, 100 ms windows each 50 ms (Guo et al. 2018, LSTM)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from features.extractor import Batch, Params, extractor
from features.media.media import SPEECH_RATE
from features.spec import FeatureSpec, Rows

COLUMNS = (
    *("zcr", "energy", "energy_entropy", "spectral_centroid", "spectral_spread"),
    *("spectral_entropy", "spectral_flux", "spectral_rolloff"),
    *(f"mfcc_{i}" for i in range(1, 14)),
    *(f"chroma_{i}" for i in range(1, 13)),
    "chroma_std",
)


@extractor(
    name="shortterm_34",
    version=1,
    inputs={"audio": "audio_16k"},
    scope="clip",
)
class Shortterm34:
    """What pyAudioAnalysis 0.3.14 calls short-term features, without its deltas.

    Rate ``segment``, step 50 ms: row i is of the 100 ms from t0 + i/20 s on, and t0 is the time
    of the track's first sample; floor((samples - window) / step) + 1 rows. Equal to the package
    in what is peculiar of it, too: the clip's mean is taken off and its largest value is 1; mel
    filters lie at half their nominal frequency; in the chroma, of all frequencies that share a
    semitone only the highest counts. Guo et al. 2018 has the features and the window. A clip
    shorter than a window is filled with zeros to one row (the package stops there); digital
    silence is valid. Without a track: as many invalid rows as the waveform's length gives.
    """

    class Params(Params):
        """Window and step in seconds (Guo et al. 2018)."""

        # In windows much shorter than 20 ms the chroma of the package fails.
        window: float = Field(0.1, ge=0.02, le=1.0, description="seconds of sound in a row")
        step: float = Field(0.05, ge=0.005, le=3600, description="seconds from row to row")

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="shortterm_34",
            rate="segment",
            dims=(len(COLUMNS),),
            dtype="float32",
            columns=COLUMNS,
            units="shares; entropies: bits; mfcc: cepstrum of log10 magnitude",
            description="zcr, energy, spectrum, MFCC and chroma of 100 ms each 50 ms (guo2018)",
            every=0.05,
        ),
    )

    def __init__(self, params: Shortterm34.Params) -> None:
        self.window = round(params.window * SPEECH_RATE)
        self.step = round(params.step * SPEECH_RATE)

    def extract(self, batch: Batch) -> Rows:
        """Values ``(rows, 34)``, at least one row."""
        audio = batch.inputs["audio"]
        step = self.step / SPEECH_RATE
        if not audio.valid.any():
            rows = 1 + max(0, audio.rows - self.window) // self.step
            return self.outputs[0].invalid(rows, t0=audio.t0, step=step)
        # scipy takes a while to import; a plan needs the declaration alone
        from features.shortterm import short_term

        samples = np.asarray(audio.values, np.int16)
        values = short_term(samples, SPEECH_RATE, self.window, self.step).astype(np.float32)
        return Rows(values, np.ones(len(values), bool), audio.t0, step)
