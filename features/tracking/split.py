"""Tracklets in which another person takes a face's place: where they are cut in two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.tracking.detections import NONE, Detections
from features.tracking.link import overlaps

#: boxes of successive frames that overlap by no more than this have jumped: a cut, or an absence
JUMPS = 0.7
#: a head has turned where its nose moved sideways by more than this share of the way from the
#: eyes to the mouth: by some 30 degrees, in eight real faces that were turned by their mesh [ours]
TURNED = 0.2
#: who turns takes several frames, a cut takes one: in it, this share of the turn happens [ours]
AT_ONCE = 0.75


def split(found: Detections, tracklets: NDArray[np.int64], same: float) -> NDArray[np.int64]:
    """The tracklets ``(n,)``, cut where their person changes for good.

    Args:
        tracklets: int64 ``(n,)``, of every detection.
        same: greatest distance of two means of one person.
    """
    made = tracklets.copy()
    fresh = int(tracklets.max()) + 1
    order = np.argsort(tracklets, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(tracklets[order])) + 1):
        for place in _Tracklet(found, rows).changes(same):
            made[rows[place:]] = fresh
            fresh += 1
    return made


class _Tracklet:
    """One tracklet's described faces, in groups of successive ones.

    Groups are told by where they start, ``(groups + 1,)``, counting described faces; the last
    number is where they end.

    Args:
        rows: its detections, frame after frame.
    """

    def __init__(self, found: Detections, rows: NDArray[np.intp]) -> None:
        described = found.described[rows]
        self._seen = np.flatnonzero(described != NONE)
        numbers = found.identity[described[self._seen]]
        self._sums = np.vstack([np.zeros(numbers.shape[1]), numbers.cumsum(0)])
        boxes, points = found.boxes[rows], found.points[rows]
        successive = np.diff(found.frames[rows]) == 1
        self._overlaps = np.where(successive, overlaps(boxes[:-1], boxes[1:]), 0.0)
        self._moves = np.where(successive, _moves(points), np.inf)
        self._turns = _turns(points)

    def changes(self, same: float) -> list[int]:
        """Where another person begins, counting the tracklet's detections.

        The two neighbouring groups whose means are nearest become one, as long as there are two
        that are nearer than ``same`` or meet without a cut. Where two are left, the person
        changed, in the frame in which the points moved most and to another shape.
        """
        starts = np.arange(len(self._seen) + 1)
        apart, cut = self._apart(starts), self._cut(starts)
        while not (stay := cut & (apart >= same)).all():
            i = int(np.where(stay, np.inf, apart).argmin())
            starts, apart, cut = np.delete(starts, i + 1), np.delete(apart, i), np.delete(cut, i)
            near = slice(max(i - 1, 0), i + 1)
            around = starts[near.start : i + 3]
            apart[near], cut[near] = self._apart(around), self._cut(around)
        sides = ((self._seen[k - 1], self._seen[k]) for k in starts[1:-1])
        return [int(a + 1 + self._moves[a:b].argmax()) for a, b in sides]

    def _apart(self, starts: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far each group's mean is from the next one's."""
        means = np.diff(self._sums[starts], axis=0) / np.diff(starts)[:, None]
        return np.asarray(np.linalg.norm(np.diff(means, axis=0), axis=1), np.float64)

    def _cut(self, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each group and the next one meet where the picture may have been cut."""
        threes = zip(starts[:-2], starts[1:-1], starts[2:], strict=True)
        return np.array([self._is_cut(*three) for three in threes], bool)

    def _is_cut(self, start: int, middle: int, stop: int) -> bool:
        """Whether the picture may have been cut between two groups.

        The box jumps; or both have more than one face, and the head is held alike or turned
        within a frame. A single odd face, or one that turns away, is no other person.
        """
        a, b = self._seen[middle - 1], self._seen[middle]
        if self._overlaps[a:b].min() <= JUMPS:
            return True
        before, after = self._seen[start:middle], self._seen[middle:stop]
        if min(len(before), len(after)) < 2:
            return False
        turned = abs(self._turns[before].mean() - self._turns[after].mean())
        at_once = np.abs(np.diff(self._turns[a : b + 1])).max()
        return bool(turned < TURNED or at_once >= AT_ONCE * turned)


def _moves(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each face's points differ from the next one's: by their place times by their shape.

    A face that moves keeps its shape, and a detector that wavers keeps its place; another face
    in the same place does neither.

    Args:
        points: float64 ``(n, 5, 2)``.

    Returns:
        float64 ``(n - 1,)``: mean distance in the face's sizes; sine of the angle between the
        shapes, whatever their place, size and tilt.
    """
    places = points[..., 0] + 1j * points[..., 1]
    shapes = places - places.mean(1, keepdims=True)
    sizes = np.linalg.norm(shapes, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = np.abs((shapes[:-1].conj() * shapes[1:]).sum(1)) / (sizes[:-1] * sizes[1:])
        moved = np.abs(np.diff(places, axis=0)).mean(1) / sizes[:-1]
    return np.asarray(moved * np.sqrt(np.clip(1 - alike**2, 0, None)), np.float64)


def _turns(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each nose lies beside the line from the eyes to the mouth, in lengths of it.

    Args:
        points: float64 ``(n, 5, 2)``.
    """
    eyes, mouth = points[:, :2].mean(1), points[:, 3:].mean(1)
    down, nose = mouth - eyes, points[:, 2] - eyes
    beside = nose[:, 0] * down[:, 1] - nose[:, 1] * down[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(beside / (down**2).sum(1), np.float64)
