"""The 168 audio numbers of each frame: ours beside a loop over librosa, on one core."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import librosa
import numpy as np
import torch
from numpy.typing import NDArray

from features.segment_features import segment_features
from features.segments import N_MFCC, RATE, Segments, lay_segments

SECONDS, FPS, REPEATS = 60, 30.0, 5


def loop(sound: NDArray[np.float32], segments: Segments) -> NDArray[np.float64]:
    """The plain way: librosa's two features of one segment after the other, averaged."""
    whole = np.concatenate([sound, np.zeros(segments.length, np.float32)])
    rows = []
    for start in segments.starts:
        piece = whole[start : start + segments.length]
        mfcc = librosa.feature.mfcc(y=piece, sr=RATE, n_mfcc=N_MFCC)
        mel = librosa.feature.melspectrogram(y=piece, sr=RATE)
        rows.append(np.concatenate([mfcc.mean(axis=1), mel.mean(axis=1)]))
    return np.array(rows)


def fastest(run: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the fastest of some runs, after one to warm up."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    """Print both times, their ratio and the largest difference."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    times = np.arange(round(SECONDS * FPS)) / FPS
    segments = lay_segments(times, 1 / FPS, RATE, "uniform")
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(segments.total) * 0.1).astype(np.float32)
    slow, fast = loop(sound, segments), segment_features(sound, segments)
    slow_seconds = fastest(lambda: loop(sound, segments), 1)
    fast_seconds = fastest(lambda: segment_features(sound, segments), REPEATS)
    difference = np.abs(fast - slow).max() / np.abs(slow).max()
    print(f"{SECONDS} s of sound, {len(times)} frames at {FPS:g} fps, one core")
    print(f"loop over librosa   {1e3 * slow_seconds / SECONDS:8.2f} ms CPU per second of sound")
    print(f"mfcc_mel            {1e3 * fast_seconds / SECONDS:8.2f} ms CPU per second of sound")
    print(f"ratio               {slow_seconds / fast_seconds:8.0f}")
    print(f"largest difference  {difference:8.1e} of the largest value")


if __name__ == "__main__":
    main()
