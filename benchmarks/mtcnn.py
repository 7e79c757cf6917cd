"""How fast faces are detected, against facenet-pytorch 2.6.0 on the same frames.

    python -m benchmarks.mtcnn [--repeats 7] [--threads 1] [--clip FILE ...]

Frames are scaled to 640 x 480. Both sides run in turn in one process with the same number of
torch threads, and find equal faces, which is checked. Seconds are CPU seconds; the ratio is
between medians. The reference is timed in the way that suits it better, one frame at a time or
all at once; the suppression of torchvision, which a stand-in does here, costs it nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from features.faces import published
from features.media.media import Media
from features.mtcnn.detector import Detector
from tests.features.face_frames import portrait_frames
from tests.features.facenet_reference import reference, seconds_in_suppression

WIDTH, HEIGHT = 640, 480
#: frames of each clip, spread over it
FRAMES_PER_CLIP = 8


def sample(path: str) -> list[NDArray[np.uint8]]:
    """Some frames of a clip at 640 x 480."""
    frames = [
        f for batch in Media(path).video(16) if batch.frames is not None for f in batch.frames
    ]
    chosen = frames[:: max(1, len(frames) // FRAMES_PER_CLIP)][:FRAMES_PER_CLIP]
    return [
        np.asarray(cv2.resize(f, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)) for f in chosen
    ]


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one run, the reference's stand-in for suppression taken off."""
    began, apart = time.process_time(), seconds_in_suppression[0]
    work()
    return time.process_time() - began - (seconds_in_suppression[0] - apart)


def largest_difference(facenet: Any, ours: Detector, frames: NDArray[np.uint8]) -> float:
    """Over all boxes and points of all frames, in pixels; ValueError if a face is missing."""
    values, frame = published(ours.detect(frames))
    worst = 0.0
    for i, pixels in enumerate(frames):
        boxes, _, points = facenet.detect(pixels, landmarks=True)
        mine = np.delete(values[frame == i], 4, 1)
        theirs = np.zeros((0, 14))
        if boxes is not None:
            theirs = np.concatenate([boxes, points.reshape(-1, 10)], 1)
        if mine.shape != theirs.shape:
            raise ValueError(f"frame {i}: {len(mine)} faces, the reference has {len(theirs)}")
        worst = max(worst, float(np.abs(mine - theirs).max(initial=0)))
    return worst


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clip", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)

    frames = portrait_frames(2 * FRAMES_PER_CLIP, HEIGHT, WIDTH)
    if options.clip:
        frames = np.stack([frame for path in options.clip for frame in sample(path)])
    facenet, ours = reference(), Detector("cpu")
    worst = largest_difference(facenet, ours, frames)
    ways: dict[str, Callable[[], object]] = {
        "reference, one by one": lambda: [facenet.detect(f, landmarks=True) for f in frames],
        "reference, all at once": lambda: facenet.detect(frames, landmarks=True),
        "ours, all at once": lambda: ours.detect(frames),
        "ours, one by one": lambda: [ours.detect(f[None]) for f in frames],
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, work in ways.items():
            took[way].append(seconds(work) / len(frames) * 1e3)
    median = {way: round(statistics.median(times), 2) for way, times in took.items()}
    best = min(time for way, time in median.items() if way.startswith("reference"))
    report = {
        "frames": len(frames),
        "threads": options.threads,
        "ms_per_frame": median,
        "times_faster": round(best / median["ours, all at once"], 2),
        "largest_difference_px": round(worst, 4),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
