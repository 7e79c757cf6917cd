"""Tracklets of one person become one track, and a tracklet that changed its person two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.tracking.detections import NONE, Detections
from features.tracking.link import area
from features.tracking.split import split

#: tracklets that are compared with each other at most, the largest; a crowd has thousands
MOST = 256


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
    people = _People(found, split(found, tracklets, same))
    people.join(same)
    return numbered(people.tracks)


def numbered(tracks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same tracks, numbered from 0 by first appearance."""
    _, first, inverse = np.unique(tracks, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


class _People:
    """Tracks that are joined two by two, the nearest first."""

    def __init__(self, found: Detections, tracks: NDArray[np.int64]) -> None:
        self.tracks = tracks
        known = found.described != NONE
        whose, numbers = tracks[known], found.identity[found.described[known]]
        candidates = np.unique(whose)
        sizes = np.bincount(tracks, area(found.boxes), minlength=int(tracks.max()) + 1)
        self._names = np.sort(candidates[np.argsort(-sizes[candidates], kind="stable")][:MOST])
        self._counts = np.array([(whose == n).sum() for n in self._names], np.float64)
        self._means = np.array([numbers[whose == n].mean(0) for n in self._names])
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
