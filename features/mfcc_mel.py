"""40 MFCC and 128 mel bands of the sound beneath each video frame (Rasipuram et al. 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.extractor import Batch, Params, extractor
from features.media.audio import Waveform
from features.media.media import Media
from features.media.packets import frame_duration
from features.media.tools import DECODE_VERSION
from features.segments import N_MELS, N_MFCC, RATE, Placement, Segments, lay_segments
from features.sound import heard
from features.spec import FeatureSpec, Rows


@extractor(
    name="mfcc_mel",
    version=3,
    inputs={"timeline": "timeline"},
    reads="audio",
    scope="clip",
    tools={"decode": DECODE_VERSION},
)
class MfccMel:
    """Time means of 40 MFCC and of a 128-band mel power spectrum, one row per video frame.

    The sound (mean of channels, resampled to 22,050 Hz as ``librosa.load`` does) is placed on the
    clip's clock from the first frame's time to the last frame's stop, with silence where the
    track has none or a hole, and cut into half-overlapping segments, one per frame
    (``features.segments``). Each is what ``librosa.feature.mfcc`` and ``melspectrogram`` give
    for it, averaged over time. Rows are invalid where the track has no sample while the frame is
    shown, or none in the frame's segment.
    """

    class Params(Params):
        placement: Placement = Field(
            "auto",
            description="how segments follow the frames (ours): uniform (the paper's) cuts the "
            "clip evenly, timeline follows each frame's time, auto takes it where the rate varies",
        )

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

    def extract(self, batch: Batch) -> Rows:
        """Values ``(frames, 168)``, validity per frame."""
        times = np.asarray(batch.inputs["timeline"].values, np.float64)
        spec = self.outputs[0]
        if len(times) == 0:
            return spec.empty()
        wave = _resampled(batch.media.audio_native())
        duration = _last_duration(batch.media, times)
        if wave is None or duration is None:
            return spec.invalid(len(times), t0=float(times[0]))
        segments = lay_segments(times, duration, RATE, self.params.placement)
        sound, valid = _on_clock(wave, times, duration, segments)
        del wave
        # torch and librosa take seconds to import; a plan needs the declaration alone
        from features.segment_features import segment_features

        values = segment_features(sound, segments)
        values[~valid] = np.nan
        return Rows(values, valid, float(times[0]))


def _last_duration(media: Media, times: NDArray[np.float64]) -> float | None:
    """Seconds of the last frame: by its packet, else the one before, else the frame rate."""
    said = frame_duration(media, float(times[-1]))
    if said is not None:
        return said
    if len(times) > 1:
        return float(times[-1] - times[-2])
    video = media.probe.video
    return 1.0 / video.fps if video is not None and video.fps else None


def _resampled(wave: Waveform[np.float32] | None) -> Waveform[np.float32] | None:
    """The sound at ``RATE``; None if there is none."""
    if wave is None or len(wave.samples) == 0:
        return None
    import librosa

    sound = librosa.resample(wave.samples, orig_sr=wave.rate, target_sr=RATE, res_type="soxr_hq")
    scale = RATE / wave.rate
    holes = tuple((round(start * scale), round(stop * scale)) for start, stop in wave.holes)
    return Waveform(sound, RATE, wave.t0, holes, wave.breaks)


def _on_clock(
    wave: Waveform[np.float32], times: NDArray[np.float64], duration: float, segments: Segments
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Sound from the first frame on for ``segments.total`` samples, zeros where the track has none
    and behind it; and which frames have some of it beneath them and in their segments."""
    sound, offset = wave.samples, round((wave.t0 - times[0]) * RATE)
    first, stop = max(0, offset), min(segments.total, offset + len(sound))
    # The system gives zeros without memory: only what has sound takes some.
    placed = np.zeros(segments.reach, np.float32)
    if first < stop:
        placed[first:stop] = sound[first - offset : stop - offset]
    size = min(len(sound), segments.total - offset)
    edges = np.rint((np.append(times, times[-1] + duration) - times[0]) * RATE).astype(np.int64)
    lengths = np.maximum(np.diff(edges), 1)
    shown = heard(size, wave.holes, edges[:-1] - offset, lengths)
    return placed, shown & heard(size, wave.holes, segments.starts - offset, segments.length)
