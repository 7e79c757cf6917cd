"""Tracklets: detections of successive frames that lie over each other, without a look at pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class _Open:
    """A tracklet that may go on: its number, the frame and the box in which it was seen last."""

    number: int
    frame: int
    box: NDArray[np.float64]


def overlaps(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes ``(…, 4)``, x0 y0 x1 y1, whose shapes broadcast."""
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    common = np.asarray(np.clip(high - low, 0, None).prod(-1), np.float64)
    total = area(one) + area(other) - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)


def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of boxes ``(…, 4)``, x0 y0 x1 y1; 0 where a side is negative."""
    return np.asarray(np.clip(boxes[..., 2:4] - boxes[..., :2], 0, None).prod(-1), np.float64)


def link(
    boxes: NDArray[np.float64], offsets: NDArray[np.int64], *, overlap: float, gap: int
) -> NDArray[np.int64]:
    """The tracklet of every detection, numbered from 0 by first appearance.

    In each frame, detections and open tracklets are paired so that the sum of their overlaps is
    greatest (Hungarian method); pairs below ``overlap`` are no pairs.

    Args:
        boxes: float64 ``(detections, 4)``, frame after frame; offsets: int64 ``(frames + 1,)``.
        overlap: least intersection over union with the tracklet's last box.
        gap: frames that a tracklet may be absent from.

    Returns:
        int64 ``(detections,)``.
    """
    # scipy takes a while to import; a plan needs the declaration alone
    from scipy.optimize import linear_sum_assignment

    numbers = np.full(len(boxes), -1, np.int64)
    fresh, open_ = 0, list[_Open]()
    for frame in np.flatnonzero(np.diff(offsets)).tolist():
        start, stop = int(offsets[frame]), int(offsets[frame + 1])
        found = boxes[start:stop]
        open_ = [t for t in open_ if frame - t.frame <= gap + 1]
        if open_:
            shared = overlaps(np.stack([t.box for t in open_])[:, None], found[None])
            shared[shared < overlap] = 0.0
            for track, place in zip(*linear_sum_assignment(-shared), strict=True):
                if shared[track, place] > 0:
                    numbers[start + place] = open_[track].number
                    open_[track].frame, open_[track].box = frame, found[place]
        for place in np.flatnonzero(numbers[start:stop] < 0).tolist():
            numbers[start + place] = fresh
            open_.append(_Open(fresh, frame, found[place]))
            fresh += 1
    return numbers
