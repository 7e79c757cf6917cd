"""What the contract's checks feed an extractor with: made from its declaration alone."""

from __future__ import annotations

import base64
import subprocess
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from features.extractor import Batch, Declaration
from features.extractor import Params as BaseParams
from features.media.media import SPEECH_RATE, Media
from features.media.programs import ffmpeg_path
from features.media.reference_clip import CLIP_MP4
from features.registry import feature_specs
from features.spec import FeatureSpec, Rows

#: rows of a clip's segments; frames are the built-in clip's
SEGMENTS = 20
#: items of a ragged feature's rows, again and again: all slots have detections of the same frames
ITEMS = (1, 0, 2, 1)
#: which frames are invalid in an ordinary clip
INVALID = 1
#: samples of a sound that is shorter than every window
FEW_SAMPLES = 40


@dataclass(frozen=True)
class Clip:
    """The media of the checks, and the decoded frames of the first.

    Attributes:
        media: pictures and sound; mute: the same without its sound; silent: digital silence;
            brief: a sound of some milliseconds. The last two have no pictures.
    """

    media: Media
    mute: Media
    silent: Media
    brief: Media
    times: NDArray[np.float64]
    frames: NDArray[np.uint8]


@contextmanager
def made_clip() -> Iterator[Clip]:
    """The built-in clip (7 frames of 64 x 48, .7 s of sound) and what is made of it.

    Raises:
        MediaError, ToolMissing: the ffmpeg in use can't decode it.
    """
    with TemporaryDirectory(prefix="affectstore-") as folder:
        whole, mute = Path(folder, "clip.mp4"), Path(folder, "mute.mp4")
        whole.write_bytes(base64.b64decode(CLIP_MP4))
        copying = ["-v", "error", "-nostdin", "-i", str(whole), "-an", "-c", "copy", str(mute)]
        subprocess.run([ffmpeg_path(), *copying], check=True)
        silent = _silence(Path(folder, "silent.wav"), SPEECH_RATE)
        brief = _silence(Path(folder, "brief.wav"), FEW_SAMPLES)
        media = Media(str(whole))
        batches = list(media.video(32))
        frames = np.concatenate([b.frames for b in batches if b.frames is not None])
        times = np.concatenate([b.times for b in batches])
        yield Clip(media, Media(str(mute)), Media(str(silent)), Media(str(brief)), times, frames)


def _silence(path: Path, samples: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes(bytes(2 * samples))
    return path


def ordinary(
    declaration: Declaration, params: BaseParams, clip: Clip, given: Mapping[str, Rows]
) -> Batch:
    """All of the clip in one batch; slots that aren't ``given`` hold made rows."""
    specs = feature_specs()
    inputs = {
        slot: given[slot] if slot in given else made_rows(specs[feature], clip)
        for slot, feature in declaration.inputs_for(params).items()
    }
    wanted = tuple(spec.name for spec in declaration.outputs)
    if declaration.scope == "clip":
        return Batch(clip.media, inputs=inputs, wanted=wanted)
    frames = clip.frames if declaration.pixels else None
    return Batch(clip.media, 0, clip.times, frames, inputs, wanted)


def part(batch: Batch, index: NDArray[np.intp], start: int | None = None) -> Batch:
    """Some of a batch's frames: a run from ``start`` on, or single ones if ``start`` is None."""
    return replace(
        batch,
        start=start or 0,
        picked=index if start is None else None,
        times=batch.times[index],
        frames=None if batch.frames is None else batch.frames[index],
        inputs={slot: rows.take(index) for slot, rows in batch.inputs.items()},
    )


def without_inputs(batch: Batch) -> Batch:
    """The same clip with nothing in it: no rows in any slot, no frames."""
    nothing = np.zeros(0, np.intp)
    inputs = {
        slot: rows.slice(0, 0) if rows.block > 1 else rows.take(nothing)
        for slot, rows in batch.inputs.items()
    }
    return replace(
        batch,
        times=batch.times[:0],
        frames=None if batch.frames is None else batch.frames[:0],
        inputs=inputs,
    )


def nothing_seen(batch: Batch) -> Batch:
    """The same clip where every row of every input is invalid, and every frame black.

    The timeline stays: a clip that is decoded has one.
    """
    inputs = {s: r if _is_clock(r) else _emptied(r) for s, r in batch.inputs.items()}
    frames = None if batch.frames is None else np.zeros_like(batch.frames)
    return replace(batch, frames=frames, inputs=inputs)


def all_nan(batch: Batch) -> Batch:
    """The same clip where rows of floats are NaN, though they are flagged as valid."""
    inputs = {
        slot: rows
        if rows.values.dtype.kind != "f" or _is_clock(rows)
        else replace(rows, values=np.full_like(rows.values, np.nan))
        for slot, rows in batch.inputs.items()
    }
    return replace(batch, inputs=inputs)


def _is_clock(rows: Rows) -> bool:
    """It is the timeline: the only feature in float64."""
    return rows.values.dtype == np.float64


def _emptied(rows: Rows) -> Rows:
    flags = np.zeros_like(rows.valid)
    if rows.offsets is not None:
        return replace(
            rows, values=rows.values[:0], valid=flags, offsets=np.zeros_like(rows.offsets)
        )
    fill = np.nan if rows.values.dtype.kind == "f" else 0
    return replace(rows, values=np.full_like(rows.values, fill), valid=flags)


def made_rows(spec: FeatureSpec, clip: Clip) -> Rows:
    """Rows of a feature, always the same, numbers of the size of the clip's pixels in them.

    One row is invalid. Boxes have area, scores are high; a waveform is noise.
    """
    rng = np.random.default_rng(len(spec.name))
    if spec.name == "timeline":
        return Rows(clip.times, np.ones(len(clip.times), bool), float(clip.times[0]))
    if spec.rate == "sample":
        samples = int(SPEECH_RATE * (clip.times[-1] + 0.1))
        flags = np.ones(-(-samples // spec.block), bool)
        noise = rng.integers(-3000, 3000, (samples, *spec.dims)).astype(spec.dtype)
        return Rows(noise, flags, 0.0, 1 / SPEECH_RATE, block=spec.block)
    rows = {"frame": len(clip.times), "segment": SEGMENTS, "clip": 1}[spec.rate]
    step = 0.05 if spec.rate == "segment" else None
    valid = np.arange(rows) != INVALID
    if spec.ragged:
        counts = np.resize(ITEMS, rows) * valid
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Rows(_numbers(spec, int(offsets[-1]), clip, rng), valid, 0.0, step, offsets)
    values = _numbers(spec, rows, clip, rng)
    values[~valid] = np.nan if values.dtype.kind == "f" else 0
    return Rows(values, valid, 0.0, step)


def _numbers(
    spec: FeatureSpec, count: int, clip: Clip, rng: np.random.Generator
) -> NDArray[np.generic]:
    shape, dtype = (count, *spec.dims), np.dtype(spec.dtype)
    if dtype.kind != "f":
        return rng.integers(0, 4 if spec.ragged else 256, shape).astype(dtype)
    if spec.units == "probability":
        return rng.uniform(0.95, 1.0, shape).astype(dtype)
    height, width = clip.frames.shape[1:3]
    values = rng.uniform(0.1 * height, 0.9 * height, shape)
    named = {
        name: i for i, name in enumerate(spec.columns) if spec.dims[-1:] == (len(spec.columns),)
    }
    bounds = {"x0": 0.2 * width, "x1": 0.8 * width, "y0": 0.1 * height, "y1": 0.9 * height}
    for name, middle in {**bounds, "score": 0.97}.items():
        if name in named:
            values[..., named[name]] = middle + rng.uniform(-0.02, 0.02, shape[:-1])
    return values.astype(dtype)
