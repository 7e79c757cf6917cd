"""Small networks of the same kinds as the real ones, so that tests are quick."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.nets.expnet import ExpNet
from features.nets.sphere20a import Sphere20a
from features.nets.vggface16 import VggFace16
from features.spec import Rows


def small_expnet() -> ExpNet:
    """Two blocks with a stride between them, and both ways of naming blocks."""
    return ExpNet(blocks=(2, 2), width=8)


def small_sphere() -> Sphere20a:
    """Three stages on 24 x 16 pixels."""
    return Sphere20a(stages=((4, 1), (6, 2), (8, 1)), height=24, width=16, features=10)


def small_vgg() -> VggFace16:
    """Two stages on 16 x 16 pixels."""
    return VggFace16(stages=((4, 2), (6, 3)), size=16, hidden=12, people=5)


def made_crops(count: int, height: int, width: int) -> Rows:
    """Crops with edges, ramps and noise, always the same; the second one invalid and black."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    values = np.zeros((count, height, width, 3), np.uint8)
    for i in range(count):
        ramp = 90 + 60 * np.sin(x / (5 + i)) + 40 * np.cos(y / (9 + i))
        colours = np.stack([ramp, ramp[::-1], 255 - ramp], axis=2)
        values[i] = np.clip(colours + rng.normal(0, 12, colours.shape), 0, 255)
    valid = np.arange(count) != 1
    values[~valid] = 0
    return Rows(values, valid, t0=0.5)


def part(rows: Rows, index: Any) -> Rows:
    """Some rows."""
    return Rows(rows.values[index], rows.valid[index], rows.t0)
