"""Tracklets of one person become one track, and a tracklet that changed its person two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.tracking.link import area, overlaps

#: tracklets that are compared with each other at most, the largest; a crowd has thousands
MOST = 256
#: samples on each side of a possible change of person that are averaged
SIDE = 3
#: boxes of one tracklet in successive frames that overlap more than this are the same face,
#: whatever its numbers say; a cut to another person seldom puts a face so exactly in one's place
CONTINUES = 0.7


@dataclass(frozen=True, eq=False)
class Detections:
    """All detections of a clip, frame after frame.

    Attributes:
        frames: int64 ``(n,)``, counting only frames that were looked at.
        boxes: float64 ``(n, 4)``, x0 y0 x1 y1.
        identity: float64 ``(n, k)``; NaN where nobody looked.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    identity: NDArray[np.float64]


def join(found: Detections, tracklets: NDArray[np.int64], same: float) -> NDArray[np.int64]:
    """The track of every detection, numbered from 0 by first appearance.

    Tracklets are split where their person changes. Then those whose mean numbers are nearest are
    joined, as long as they are nearer than ``same`` and never seen in one frame; what was joined
    counts as one, with its own mean.

    Args:
        tracklets: int64 ``(n,)``.
        same: greatest distance of two means of one person.
    """
    if not len(tracklets):
        return tracklets
    tracks = _split(found, tracklets, same)
    known = np.asarray(~np.isnan(found.identity).any(1))
    people = _People(found, tracks, known)
    people.join(same)
    return numbered(people.tracks)


def numbered(tracks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same tracks, numbered from 0 by first appearance."""
    _, first, inverse = np.unique(tracks, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _split(found: Detections, tracklets: NDArray[np.int64], same: float) -> NDArray[np.int64]:
    """Tracklets cut where both the box jumps and the numbers change."""
    split = tracklets.copy()
    fresh = int(tracklets.max()) + 1
    order = np.argsort(tracklets, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(tracklets[order])) + 1):
        looked_at = np.flatnonzero(~np.isnan(found.identity[rows, 0]))
        if len(looked_at) < 2:
            continue
        numbers = found.identity[rows[looked_at]]
        steps = _steps(found, rows)
        begin = 0
        for k in range(1, len(looked_at)):
            before = numbers[max(begin, k - SIDE) : k].mean(0)
            after = numbers[k : k + SIDE].mean(0)
            between = steps[looked_at[k - 1] : looked_at[k]]
            if np.linalg.norm(before - after) <= same or between.min() > CONTINUES:
                continue
            cut = int(looked_at[k - 1] + between.argmin() + 1)
            split[rows[cut:]] = fresh
            fresh, begin = fresh + 1, k
    return split


def _steps(found: Detections, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """How much each box of a tracklet overlaps the next; 0 over a gap."""
    shared = overlaps(found.boxes[rows[:-1]], found.boxes[rows[1:]])
    return np.where(np.diff(found.frames[rows]) == 1, shared, 0.0)


class _People:
    """Tracks that are joined two by two, the nearest first."""

    def __init__(
        self, found: Detections, tracks: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> None:
        self.tracks = tracks
        candidates = np.unique(tracks[known])
        sizes = np.bincount(tracks, area(found.boxes), minlength=int(tracks.max()) + 1)
        self._names = np.sort(candidates[np.argsort(-sizes[candidates], kind="stable")][:MOST])
        self._counts = np.array([(known & (tracks == n)).sum() for n in self._names], np.float64)
        self._means = np.array([found.identity[known & (tracks == n)].mean(0) for n in self._names])
        frames = int(found.frames.max()) + 1
        self._seen = np.zeros((len(self._names), frames), bool)
        for i, name in enumerate(self._names):
            self._seen[i, found.frames[tracks == name]] = True

    def join(self, same: float) -> None:
        """Join until no two tracks are near enough."""
        if len(self._names) < 2:
            return
        distance = np.stack([np.linalg.norm(self._means - one, axis=1) for one in self._means])
        distance[np.tril_indices(len(distance))] = np.inf
        for i in range(len(distance)):
            distance[i, (self._seen[i] & self._seen).any(1)] = np.inf
        while True:
            i, j = divmod(int(distance.argmin()), len(distance))
            if not distance[i, j] < same:
                return
            self._merge(i, j)
            distance[j, :], distance[:, j] = np.inf, np.inf
            gone = ~np.isfinite(self._means[:, 0])
            near = np.linalg.norm(self._means - self._means[i], axis=1)
            near[gone | (self._seen[i] & self._seen).any(1)] = np.inf
            distance[i, i + 1 :], distance[:i, i] = near[i + 1 :], near[:i]

    def _merge(self, i: int, j: int) -> None:
        weights = self._counts[[i, j]]
        self._means[i] = weights @ self._means[[i, j]] / weights.sum()
        self._means[j] = np.nan
        self._counts[i] += self._counts[j]
        self._seen[i] |= self._seen[j]
        self.tracks = np.where(self.tracks == self._names[j], self._names[i], self.tracks)
