"""Does an ffmpeg decode as ours does? Told by the hashes of a small built-in clip."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from pathlib import Path

import numpy as np

from features.errors import DecodeFailed
from features.media.audio import Waveform
from features.media.media import Media
from features.media.reference_clip import CLIP_MP4, SOUND_FLAC
from features.media.video import decoder_starts, set_decoder_starts

#: what the built-in clip decodes to. H.264, the scaler, FLAC and the resampler of 16-bit samples
#: are exact on every processor; AAC is decoded in floating point, so that only its place, length
#: and loudness are compared.
GOLDEN = {
    "frames": "cfdfc2840593a6ba230479791934b57d9a4160ba2a404d078c2dd9c7c37518e1",
    "times": "0.000000000 0.100000000 0.200000000 0.300000000 0.400000000 0.500000000 0.600000000",
    "flac": "3eb7ad438004506bf4df3bbd2d5942af02fe0c3e4606ac030623e75b39e0736b",
    "aac": "31744 samples from 0.000000 s, rms 0.066",
}


def decoded_hashes() -> dict[str, str]:
    """What the ffmpeg in use makes of the built-in clip; equal to ``GOLDEN`` if all is well.

    Raises:
        MediaError: it can't decode it.
    """
    starts = decoder_starts()
    try:
        with tempfile.TemporaryDirectory(prefix="affectstore-") as folder:
            clip, sound = Path(folder, "clip.mp4"), Path(folder, "sound.flac")
            clip.write_bytes(base64.b64decode(CLIP_MP4))
            sound.write_bytes(base64.b64decode(SOUND_FLAC))
            return _hashes(Media(str(clip)), Media(str(sound)))
    finally:
        # A look at the tool isn't a decode of anyone's clip.
        set_decoder_starts(starts)


def _hashes(clip: Media, sound: Media) -> dict[str, str]:
    frames = hashlib.sha256()
    times = []
    for batch in clip.video(batch=4):
        times += batch.times.tolist()
        if batch.frames is not None:
            frames.update(batch.frames.tobytes())
    aac, flac = clip.audio_native(), sound.audio_s16()
    if aac is None or flac is None:
        raise DecodeFailed("the built-in clip has lost its sound")
    return {
        "frames": frames.hexdigest(),
        "times": " ".join(f"{time:.9f}" for time in times),
        "flac": hashlib.sha256(flac.samples.astype("<i2").tobytes()).hexdigest(),
        "aac": _in_words(aac),
    }


def _in_words(wave: Waveform[np.float32]) -> str:
    loudness = float(np.sqrt(np.mean(np.square(wave.samples, dtype=np.float64))))
    return f"{len(wave.samples)} samples from {wave.t0:.6f} s, rms {loudness:.3f}"
