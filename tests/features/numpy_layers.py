"""Layers of convolutional networks in plain numpy, for parity tests.

Maps are ``(n, h, w, c)``, kernels ``(height, width, in, out)`` as TensorFlow has them; float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def same(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME border before and after an axis: the odd pixel goes behind."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def conv(x: Array, kernel: Array, stride: int, border: tuple[int, int] | str = "same") -> Array:
    """Cross-correlation with zeros beyond the border."""
    size = kernel.shape[0]
    pads = [
        same(length, size, stride) if isinstance(border, str) else border for length in x.shape[1:3]
    ]
    x = np.pad(np.asarray(x, np.float64), ((0, 0), *pads, (0, 0)))
    rows = (x.shape[1] - size) // stride + 1
    columns = (x.shape[2] - size) // stride + 1
    out = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i in range(size):
        for j in range(size):
            piece = x[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
            out += piece[:, :rows, :columns] @ np.asarray(kernel[i, j], np.float64)
    return out


def batch_norm(x: Array, mean: Array, variance: Array, offset: Array, scale: Array) -> Array:
    """Normalisation by stored statistics; epsilon 1e-5."""
    return (x - mean) / np.sqrt(np.asarray(variance, np.float64) + 1e-5) * scale + offset


def max_pool(x: Array, size: int, stride: int) -> Array:
    """Maximum over windows under SAME borders; nothing beyond the border counts."""
    pads = [same(length, size, stride) for length in x.shape[1:3]]
    x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
    rows, columns = ((length - size) // stride + 1 for length in x.shape[1:3])
    windows = [
        x[:, i : i + stride * rows : stride, j : j + stride * columns : stride][:, :rows, :columns]
        for i in range(size)
        for j in range(size)
    ]
    return np.max(windows, axis=0)


def relu(x: Array) -> Array:
    """The positive part."""
    return np.maximum(x, 0)


def prelu(x: Array, slopes: Array) -> Array:
    """The positive part, and the negative one times a slope per channel."""
    return np.where(x > 0, x, x * slopes)


def from_torch(kernel: Array) -> Array:
    """(out, in, height, width) -> (height, width, in, out)."""
    return kernel.transpose(2, 3, 1, 0)
