"""Shrinking by area equals torch's, bit for bit."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from features.mtcnn import area

CPU = torch.device("cpu")
SIDES = st.integers(1, 70)


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def by_torch(pixels: NDArray[np.uint8], height: int, width: int) -> torch.Tensor:
    """facenet-pytorch's way: interpolate, then to about -1..1."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    return (functional.interpolate(image, (height, width), mode="area") - 127.5) * 0.0078125


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES)
def test_a_shrunk_image_equals_torchs_area_interpolation(
    height: int, width: int, rows: int, columns: int
) -> None:
    pixels = noise(height, width, 3)
    ours = area.shrink(area.sum_tables(pixels[None], CPU), rows, columns)
    assert torch.equal(ours, by_torch(pixels, rows, columns))


def test_a_full_frame_shrinks_to_torchs_values_and_each_of_a_batch_to_its_own() -> None:
    frames = noise(2, 360, 640, 3)
    ours = area.shrink(area.sum_tables(frames, CPU), 217, 385)
    for one, pixels in zip(ours, frames, strict=True):
        assert torch.equal(one[None], by_torch(pixels, 217, 385))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), min_size=1, max_size=9))
def test_crops_of_any_size_equal_torchs_area_interpolation_of_each(
    boxes: list[tuple[int, int, int, int]],
) -> None:
    frames = noise(2, 71, 71, 3)
    corners = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in boxes]
    images = torch.arange(len(boxes)) % 2
    ours = area.crop(area.sum_tables(frames, CPU), images, torch.tensor(corners), 24)
    for one, image, (x0, y0, x1, y1) in zip(ours, images, corners, strict=True):
        assert torch.equal(one[None], by_torch(frames[image, y0:y1, x0:x1], 24, 24))


def test_sums_for_a_gpu_equal_those_for_a_cpu() -> None:
    frames = noise(3, 41, 57, 3)
    ours = area._sums_by_torch(torch.from_numpy(frames))
    assert torch.equal(ours, area.sum_tables(frames, CPU))


def test_a_white_frame_of_full_high_definition_does_not_overflow() -> None:
    white = np.full((1, 1920, 1080, 3), 255, np.uint8)
    assert (area.shrink(area.sum_tables(white, CPU), 12, 12) == (255 - 127.5) * 0.0078125).all()
