"""The 34 short-term features of each 100 ms: ours beside pyAudioAnalysis, on one core."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

from features.shortterm import short_term

SECONDS, RATE, WINDOW, STEP, REPEATS = 60, 16_000, 1600, 800, 5


def median(run: Callable[[], object]) -> float:
    """CPU seconds: the median of five runs, after one to warm up."""
    run()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def main() -> None:
    """Print both times, their ratio and the largest difference."""
    with warnings.catch_warnings():
        # it imports scipy's cosine transform from where that used to be
        warnings.simplefilter("ignore", DeprecationWarning)
        from pyAudioAnalysis.ShortTermFeatures import feature_extraction
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(SECONDS * RATE) * 3000).astype(np.int16)
    slow = feature_extraction(sound, RATE, WINDOW, STEP, deltas=False)[0].T
    fast = short_term(sound, RATE, WINDOW, STEP)
    slow_seconds = median(lambda: feature_extraction(sound, RATE, WINDOW, STEP, deltas=False))
    fast_seconds = median(lambda: short_term(sound, RATE, WINDOW, STEP))
    print(f"{SECONDS} s of sound at {RATE} Hz, {len(fast)} rows, one core, medians of {REPEATS}")
    print(f"pyAudioAnalysis     {1e3 * slow_seconds / SECONDS:8.3f} ms CPU per second of sound")
    print(f"shortterm_34        {1e3 * fast_seconds / SECONDS:8.3f} ms CPU per second of sound")
    print(f"ratio               {slow_seconds / fast_seconds:8.0f}")
    print(f"largest difference  {np.abs(fast - slow).max():8.1e}")


if __name__ == "__main__":
    main()
