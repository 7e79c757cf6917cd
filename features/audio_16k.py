"""The clip's sound as models of speech take it: 16 kHz, mono, 16 bits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.extractor import Batch, extractor
from features.extractor import Params as AnyParams
from features.media.media import SPEECH_RATE, Media
from features.media.tools import DECODE_VERSION
from features.spec import SAMPLES_PER_BLOCK, FeatureSpec, Rows

STEP = 1.0 / SPEECH_RATE


@extractor(
    name="audio_16k",
    version=1,
    reads="audio",
    scope="clip",
    tools={"decode": DECODE_VERSION},
)
class Audio16k:
    """ffmpeg's samples untouched (``-vn -ac 1 -ar 16000``), placed on the clip's clock by t0.

    Without an audio track, or where none of it lies in the cut: zeros for as long as the clip
    lasts by its headers, all invalid. Digital silence is valid. A cut holds the samples that the
    whole track has there, which a file of that piece alone, resampled, needn't have. ffmpeg puts
    together what lies on both sides of a hole in the track (sound switched off, packets lost):
    what follows then lies too early here, and in what reads these samples (``shortterm_34``,
    openSMILE's sets); a warning names the place. The other features of sound place each piece by
    its own time.
    """

    class Params(AnyParams):
        """None: another rate would be another feature."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="audio_16k",
            rate="sample",
            dims=(),
            dtype="int16",
            units="1/32768 of full scale",
            description="mono sound at 16 kHz",
        ),
    )

    def __init__(self, params: AnyParams) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """Samples ``(n,)``; t0 is the container time of the first, step 1/16000 s."""
        wave = batch.media.audio_s16(SPEECH_RATE)
        if wave is None or len(wave.samples) == 0:
            start, stop = span_by_headers(batch.media)
            return self.outputs[0].invalid(
                max(0, round((stop - start) * SPEECH_RATE)), t0=start, step=STEP
            )
        flags = np.ones(-(-len(wave.samples) // SAMPLES_PER_BLOCK), bool)
        return Rows(wave.samples, flags, wave.t0, STEP, block=SAMPLES_PER_BLOCK)


def span_by_headers(media: Media) -> tuple[float, float]:
    """Container seconds at which the clip starts and stops, as far as the headers tell."""
    found = media.probe
    first = found.start or 0.0
    start = first if media.start is None else max(first, media.start)
    last = None if found.duration is None else first + found.duration
    stops = [stop for stop in (last, media.stop) if stop is not None]
    return start, max(start, min(stops, default=start))
