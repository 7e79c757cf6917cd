"""Shrinking by area, for a whole image and for thousands of crops, from one table of sums.

Cell i of m over n pixels holds the mean of pixels [floor(i n / m), ceil((i + 1) n / m)): torch's
``interpolate(mode="area")``. Pixels are whole numbers, so sums from an integral image are exact
and the means equal torch's bit for bit, at a cost that doesn't grow with the crop.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.mtcnn.nets import PIXEL_MEAN, PIXEL_SCALE


def sum_tables(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Integral images.

    Args:
        frames: ``(n, height, width, 3)``; sums may wrap round, since differences don't: no cell
            has the 8.4 million pixels for that.

    Returns:
        int32 ``(n, height + 1, width + 1, 3)``: the sum of all pixels above and to the left.
    """
    if device.type == "cpu":
        return torch.from_numpy(_sums_by_cv2(frames))
    return _sums_by_torch(torch.from_numpy(np.ascontiguousarray(frames)).to(device))


def _sums_by_cv2(frames: NDArray[np.uint8]) -> NDArray[np.int32]:
    n, height, width, channels = frames.shape
    tables = np.empty((n, height + 1, width + 1, channels), np.int32)
    for frame, table in zip(frames, tables, strict=True):
        cv2.integral(frame, table, cv2.CV_32S)
    return tables


def _sums_by_torch(frames: Tensor) -> Tensor:
    """The same numbers on any device; on a CPU forty times slower than OpenCV's."""
    n, height, width, channels = frames.shape
    tables = frames.new_zeros((n, height + 1, width + 1, channels), dtype=torch.int32)
    tables[:, 1:, 1:] = frames.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    return tables


def shrink(tables: Tensor, height: int, width: int) -> Tensor:
    """Whole images at another size, as network input: float32 ``(n, 3, height, width)``."""
    top, bottom = _cells(tables.shape[1] - 1, height, tables.device)
    left, right = _cells(tables.shape[2] - 1, width, tables.device)
    rows = tables.index_select(1, bottom) - tables.index_select(1, top)
    sums = rows.index_select(2, right) - rows.index_select(2, left)
    means = sums.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    means /= (bottom - top).to(torch.float32)[:, None]
    means /= (right - left).to(torch.float32)
    return means.sub_(PIXEL_MEAN).mul_(PIXEL_SCALE)


def crop(tables: Tensor, images: Tensor, corners: Tensor, size: int) -> Tensor:
    """Crops of images, each shrunk (or grown) to a square, as network input.

    Args:
        tables: from ``sum_tables``.
        images: int64 ``(k,)``, the image of each crop.
        corners: int64 ``(k, 4)``: first column, first row, column after the last, row after the
            last; inside the image, at least one pixel each way.
        size: side of the output in pixels.

    Returns:
        float32 ``(k, 3, size, size)``, channels last in memory.
    """
    _, height, width, channels = tables.shape
    flat = tables.reshape(-1, channels)
    x0, y0, x1, y1 = corners.unbind(1)
    left, right = _cells_of_each(x0, x1, size)
    top, bottom = _cells_of_each(y0, y1, size)
    first = images[:, None] * height

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        index = ((first + rows) * width)[:, :, None] + columns[:, None, :]
        return flat.index_select(0, index.reshape(-1))

    sums = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
    # each row of a crop is one run of columns and channels, so that the division is one too
    means = sums.to(torch.float32).view(len(images), size, size * channels)
    means /= (bottom - top).to(torch.float32)[:, :, None]
    means /= (right - left).to(torch.float32).repeat_interleave(channels, 1)[:, None]
    means.sub_(PIXEL_MEAN).mul_(PIXEL_SCALE)
    return means.view(len(images), size, size, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=256)
def _cells(pixels: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First pixel of each cell, and the one after its last; the same for every frame."""
    i = torch.arange(cells + 1, device=device) * pixels
    return i[:-1] // cells, (i[1:] + cells - 1) // cells


def _cells_of_each(start: Tensor, stop: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    i = torch.arange(cells + 1, device=start.device) * (stop - start)[:, None]
    low = start[:, None] + i[:, :-1] // cells
    return low, start[:, None] + (i[:, 1:] + cells - 1) // cells
