"""The pyramid of sizes in which the first network looks for faces of one size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from features.mtcnn.nets import PNet


@dataclass(frozen=True)
class Pyramid:
    """The levels for frames of one size, and the window of every answer on all of them.

    Attributes:
        sizes: height and width of each level in pixels; none if no face can be large enough.
        starts: number of answers on the levels before each.
        levels: int64 ``(k,)`` the level of each answer; answers go by level, row, column.
        windows: float32 ``(k, 4)`` x0 y0 x1 y1, its window in pixels of the frame.
    """

    sizes: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    levels: Tensor
    windows: Tensor


@lru_cache(maxsize=8)
def pyramid_of(
    height: int, width: int, min_face: float, factor: float, device: torch.device
) -> Pyramid:
    """The pyramid for frames of a size: on its first level the smallest face fills a window."""
    scale = PNet.WINDOW / min_face
    shorter = min(height, width) * scale
    sizes: list[tuple[int, int]] = []
    starts = [0]
    levels, windows = [torch.zeros(0, dtype=torch.int64)], [torch.zeros((0, 4))]
    while shorter >= PNet.WINDOW:
        size = int(height * scale + 1), int(width * scale + 1)
        rows, columns = PNet.places(*size)
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        corner = PNet.STRIDE * torch.stack([column, row], 2).reshape(-1, 2).float()
        window = torch.cat([(corner + 1) / scale, (corner + PNet.WINDOW) / scale], 1).floor()
        levels.append(torch.full((len(window),), len(sizes)))
        windows.append(window)
        sizes.append(size)
        starts.append(starts[-1] + len(window))
        scale, shorter = scale * factor, shorter * factor
    return Pyramid(
        tuple(sizes),
        tuple(starts[:-1]),
        torch.cat(levels).to(device),
        torch.cat(windows).to(device),
    )
