"""Arithmetic on boxes: suppression equals the textbook's, one box at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from features.mtcnn import boxes as module
from features.mtcnn.boxes import clip, regress, square, suppress
from tests.features.facenet_reference import greedy


def random_boxes(seed: int, count: int, side: float = 60.0) -> tuple[Tensor, Tensor]:
    """Boxes on whole pixels, so that exact ties of overlap occur, with some equal scores."""
    rng = np.random.default_rng(seed)
    start = rng.integers(-20, 100, (count, 2))
    size = rng.integers(1, side, (count, 2))
    boxes = np.concatenate([start, start + size], 1).astype(np.float32)
    return torch.from_numpy(boxes), torch.from_numpy(rng.integers(0, 50, count) / np.float32(50))


def smaller_greedy(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """The "Min" rule in plain Python: sides count their last pixel."""
    kept: list[int] = []
    # ties in the order of facenet-pytorch's last stage
    for i in np.argsort(scores.numpy())[::-1].tolist():
        x0, y0, x1, y1 = boxes[i].tolist()
        for j in kept:
            a0, b0, a1, b1 = boxes[j].tolist()
            shared = max(0, min(x1, a1) - max(x0, a0) + 1) * max(0, min(y1, b1) - max(y0, b0) + 1)
            smaller = min((x1 - x0 + 1) * (y1 - y0 + 1), (a1 - a0 + 1) * (b1 - b0 + 1))
            if shared / smaller > threshold:
                break
        else:
            kept.append(i)
    return kept


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 120), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_equals_the_greedy_loop(seed: int, count: int, threshold: float) -> None:
    boxes, scores = random_boxes(seed, count)
    kept = suppress(boxes, scores, torch.zeros(count, dtype=torch.int64), threshold)
    assert kept.tolist() == greedy(boxes.numpy(), scores.numpy(), threshold)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_suppression_by_the_smaller_box_equals_the_greedy_loop(seed: int, count: int) -> None:
    boxes, scores = random_boxes(seed, count)
    kept = suppress(boxes, scores, torch.zeros(count, dtype=torch.int64), 0.7, over="smaller")
    assert kept.tolist() == smaller_greedy(boxes, scores, 0.7)


def test_boxes_of_different_groups_never_meet() -> None:
    boxes, scores = random_boxes(3, 300)
    groups = torch.arange(300) % 4
    kept = suppress(boxes, scores, groups, 0.5)
    expected = []
    for group in range(4):
        here = torch.nonzero(groups == group)[:, 0]
        chosen = greedy(boxes[here].numpy(), scores[here].numpy(), 0.5)
        expected += here[torch.tensor(chosen)].tolist()
    assert kept.tolist() == expected


def test_a_long_chain_of_overlaps_keeps_every_second_box() -> None:
    start = torch.arange(2000.0) * 4
    boxes = torch.stack([start, torch.zeros(2000), start + 10, torch.full((2000,), 10.0)], 1)
    scores = torch.linspace(1, 0.1, 2000)
    kept = suppress(boxes, scores, torch.zeros(2000, dtype=torch.int64), 0.4)
    assert kept.tolist() == list(range(0, 2000, 2))


def test_the_result_does_not_depend_on_how_many_pairs_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes, scores = random_boxes(5, 200)
    groups = torch.arange(200) % 3
    whole = suppress(boxes, scores, groups, 0.3)
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 7)
    assert torch.equal(suppress(boxes, scores, groups, 0.3), whole)


def test_squares_keep_centre_and_longer_side() -> None:
    boxes = torch.tensor([[10.0, 20.0, 40.0, 30.0], [0.0, 0.0, 5.0, 9.0]])
    assert square(boxes).tolist() == [[10.0, 10.0, 40.0, 40.0], [-2.0, 0.0, 7.0, 9.0]]


def test_offsets_are_shares_of_the_box() -> None:
    box, offsets = torch.tensor([[10.0, 20.0, 19.0, 39.0]]), torch.tensor([[0.5, 0.25, 1.0, -0.5]])
    assert regress(box, offsets, last_pixel=True).tolist() == [[15.0, 25.0, 29.0, 29.0]]
    assert regress(box, offsets, last_pixel=False).tolist() == [[14.5, 24.75, 28.0, 29.5]]


def test_clipping_tells_boxes_without_a_pixel() -> None:
    boxes = torch.tensor([[-5.0, 2.9, 30.2, 99.0], [50.0, 5.0, 60.0, 9.0], [3.0, -9.0, 9.0, -2.0]])
    corners, inside = clip(boxes, height=20, width=25)
    assert inside.tolist() == [True, False, False]
    assert corners[0].tolist() == [0, 1, 25, 20]
