"""Arithmetic on boxes, many at once: regression, squaring, clipping and greedy suppression.

Boxes are float32 ``(k, 4)``: x0 y0 x1 y1 in pixels. Every formula is facenet-pytorch 2.6.0's,
its ``+ 1`` (a box holds its last pixel) included where that has it and left out where not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

#: pairs of boxes compared at once; bounds the memory, not the result
PAIRS_AT_ONCE = 1 << 20


def regress(boxes: Tensor, offsets: Tensor, *, last_pixel: bool) -> Tensor:
    """Boxes moved by offsets ``(k, 4)`` in shares of their size (plus 1 px with ``last_pixel``)."""
    size = boxes[:, 2:] - boxes[:, :2]
    if last_pixel:
        size = size + 1
    return boxes + offsets * size.repeat(1, 2)


def square(boxes: Tensor) -> Tensor:
    """Boxes widened about their centres to the longer of their sides."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    start = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([start, start + side], 1)


def clip(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The pixels of boxes that lie inside an image.

    Returns:
        int64 ``(k, 4)`` first column, first row, column and row after the last; and bool ``(k,)``,
        false where no pixel is left.
    """
    whole = boxes.trunc().long()
    start = whole[:, :2].clamp(min=1) - 1
    stop = torch.minimum(whole[:, 2:], whole.new_tensor([width, height]))
    return torch.cat([start, stop], 1), (stop > start).all(1)


def suppress(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    threshold: float,
    over: Literal["union", "smaller"] = "union",
) -> Tensor:
    """Greedy non-maximum suppression inside each group.

    By falling score, a box stays unless one that stayed overlaps it by more than the threshold.
    Ties count: the score of a large, clear face is 1 in float32 for many boxes round it. For
    the ``union`` it is first come first; for the ``smaller`` see ``_by_numpy``.

    Args:
        boxes, scores: float32 ``(k, 4)`` and ``(k,)``.
        groups: int64 ``(k,)``, not negative; boxes of different groups never meet.
        over: the intersection is divided by the ``union``, or by the ``smaller`` box (facenet's
            "Min"; there sides count their last pixel).

    Returns:
        int64 indices of the boxes that stay, by group, then by falling score.
    """
    if over == "smaller":
        order = _by_numpy(scores, groups)
    else:
        order = scores.argsort(descending=True, stable=True)
        order = order[groups[order].argsort(stable=True)]
    first, second = _overlapping(boxes[order], groups[order], threshold, over)
    # Who stays is the one fixed point of "no box before me that stays overlaps me"; each round
    # settles at least one further link of every chain, so the rounds are few.
    stays = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    while True:
        after = torch.ones_like(stays)
        after[second[stays[first]]] = False
        if torch.equal(after, stays):
            return order[stays]
        stays = after


def _by_numpy(scores: Tensor, groups: Tensor) -> Tensor:
    """Indices by group, then by falling score in the order of facenet-pytorch's last stage.

    There numpy's default sort is read backwards, whose order of ties is the processor's: mostly
    the last comes first. Sorting each group by itself in the same way meets the same boxes.
    """
    of, which = scores.cpu().numpy(), groups.cpu().numpy()
    order = [np.flatnonzero(which == group) for group in np.unique(which)]
    found = [here[np.argsort(of[here])[::-1]] for here in order]
    picked = np.concatenate(found) if found else np.zeros(0, np.int64)
    return torch.from_numpy(picked).to(scores.device)


def _overlapping(
    boxes: Tensor, groups: Tensor, threshold: float, over: str
) -> tuple[Tensor, Tensor]:
    """All pairs (earlier, later) of one group that overlap by more than the threshold."""
    extra = 1.0 if over == "smaller" else 0.0
    none = torch.zeros(0, dtype=torch.int64, device=boxes.device)
    earlier, later = [none], [none]
    for a, b in _neighbours(boxes, groups):
        p, q = boxes[a], boxes[b]
        sides = torch.minimum(p[:, 2:], q[:, 2:]) - torch.maximum(p[:, :2], q[:, :2]) + extra
        shared = sides.clamp_(min=0).prod(1)
        area_a = (p[:, 2:] - p[:, :2] + extra).prod(1)
        area_b = (q[:, 2:] - q[:, :2] + extra).prod(1)
        if over == "smaller":
            share = shared / torch.minimum(area_a, area_b)
        else:
            share = shared / (area_a + area_b - shared)
        hit = share > threshold
        earlier.append(torch.minimum(a, b)[hit])
        later.append(torch.maximum(a, b)[hit])
    return torch.cat(earlier), torch.cat(later)


def _neighbours(boxes: Tensor, groups: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of one group whose columns may overlap, found by a sweep from left to right."""
    if len(boxes) == 0:
        return
    left, right = boxes[:, 0].double(), boxes[:, 2].double() + 1
    low = torch.minimum(left, right).min()
    span = torch.maximum(left, right).max() - low + 1
    shift = groups.double() * span - low
    keys, sweep = (left + shift).sort()
    stop = torch.searchsorted(keys, (right + shift)[sweep], right=True)
    here = torch.arange(len(boxes), device=boxes.device)
    pairs = (stop - here - 1).clamp_(min=0)
    total = pairs.cumsum(0)
    begin = 0
    while begin < len(boxes):
        base = total[begin - 1] if begin else total.new_zeros(())
        reach = int(torch.searchsorted(total, base + PAIRS_AT_ONCE, right=True))
        end = max(begin + 1, reach)
        counts = pairs[begin:end]
        a = here[begin:end].repeat_interleave(counts)
        offset = (total[begin:end] - counts - base).repeat_interleave(counts)
        b = a + 1 + torch.arange(len(a), device=a.device) - offset
        yield sweep[a], sweep[b]
        begin = end
