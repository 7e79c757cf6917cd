"""Frames with faces for tests: made ones, the same on every machine, and some of real clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data

from features.extractor import Batch
from features.media.media import Media
from features.spec import Rows

GREY = 96

#: nothing in these tests reads it; an extractor of given frames needs none
NO_MEDIA = Media("made.mp4")


def portrait_frames(count: int, height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """A photograph of one woman at half its size, moved over grey by whole pixels each frame."""
    picture = np.asarray(data.astronaut(), np.uint8)[::2, ::2]  # type: ignore[no-untyped-call]
    frames = np.full((count, height, width, 3), GREY, np.uint8)
    for i, frame in enumerate(frames):
        top, left = -3 * i % 40, 2 * i % 60
        part = picture[: height - top, : width - left]
        frame[top : top + len(part), left : left + part.shape[1]] = part
    return frames


def every(path: Path, step: int, most: int) -> NDArray[np.uint8]:
    """Every ``step``-th frame of a clip, ``most`` at most."""
    found: list[NDArray[np.uint8]] = []
    for batch in Media(str(path)).video(16):
        assert batch.frames is not None
        first = -batch.start % step
        found.extend(batch.frames[first::step].copy())
        if len(found) >= most:
            break
    return np.stack(found[:most])


def batch_of(frames: NDArray[np.uint8], start: int = 0, **inputs: Rows) -> Batch:
    """A batch of frames at 25 per second."""
    times = (start + np.arange(len(frames))) / 25
    return Batch(NO_MEDIA, start, times, frames, inputs)


def largest(faces: Rows) -> Rows:
    """The largest face of each frame as ``face_track`` has it; each frame has one."""
    assert faces.offsets is not None
    return Rows(faces.values[faces.offsets[:-1]], np.diff(faces.offsets) > 0, faces.t0)
