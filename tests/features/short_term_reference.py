"""pyAudioAnalysis as the reference of the short-term features."""

from __future__ import annotations

import importlib
import importlib.util
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray


def reference(samples: NDArray[np.int16], rate: int, window: int, step: int) -> NDArray[np.float64]:
    """``(rows, 34)`` of ``feature_extraction(deltas=False)``; skipped without the package."""
    if importlib.util.find_spec("pyAudioAnalysis") is None:
        pytest.skip("pyAudioAnalysis is not installed (tests/requirements-no-deps.txt)")
    with warnings.catch_warnings():
        # it imports scipy's cosine transform from where that used to be
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module("pyAudioAnalysis.ShortTermFeatures")
    values, _ = module.feature_extraction(samples, rate, window, step, deltas=False)
    return np.asarray(values.T, np.float64)


def reference_columns() -> tuple[str, ...]:
    """The package's own names of its columns."""
    if importlib.util.find_spec("pyAudioAnalysis") is None:
        pytest.skip("pyAudioAnalysis is not installed (tests/requirements-no-deps.txt)")
    module = importlib.import_module("pyAudioAnalysis.ShortTermFeatures")
    noise = np.random.default_rng(0).standard_normal(3200)
    return tuple(module.feature_extraction(noise, 16_000, 1600, 800, deltas=False)[1])
