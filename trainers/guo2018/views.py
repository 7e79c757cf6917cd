"""What the networks of guo2018 see of a clip: faces, rows of sound, maps of sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.clip_view import ClipView
from storage.resample import Resample
from trainers.clips import Later, Sampler, Views
from trainers.guo2018.settings import Model

#: rows that a clip has at least: shorter ones repeat their last row (paper)
SHORTEST = 16
#: rows of a map, and from map to map (paper)
MAP, HOP = 34, 17

Ints = NDArray[np.int64]


def windows(count: int, length: int, stride: int) -> Ints:
    """Rows of all windows, ``(windows, length)``; the last one is anchored at the end.

    What is shorter than a window repeats its last row.
    """
    starts = list(range(0, count - length + 1, stride)) or [0]
    if starts[-1] + length < count:
        starts.append(count - length)
    rows = np.array(starts)[:, None] + np.arange(length)
    return np.asarray(np.minimum(rows, count - 1), np.int64)


def any_window(count: int, length: int, rng: np.random.Generator) -> Ints:
    """Rows of one window anywhere, ``(1, length)``."""
    start = int(rng.integers(0, max(1, count - length + 1)))
    return np.asarray(np.minimum(start + np.arange(length), count - 1)[None], np.int64)


def single_faces(feature: str, model: Model) -> Sampler:
    """One face at random in training, every eighth one else: ``x`` (views, 1, h, w, 3)."""

    def sample(view: ClipView, rng: np.random.Generator | None) -> Views:
        ticks = _ticks(view, feature, model.fps)
        every = ticks[:: model.every]
        chosen = every if rng is None else ticks[rng.integers(0, len(ticks), 1)]
        faces = Later(view, feature, view.nearest(feature, chosen)[:, None])
        return {"x": faces if rng is None else faces[:]}

    return sample


def face_sequences(feature: str, model: Model) -> Sampler:
    """``x`` (views, 16, h, w, 3): in training one sequence that begins at any frame."""

    def sample(view: ClipView, rng: np.random.Generator | None) -> Views:
        ticks = _ticks(view, feature, model.fps)
        if rng is None:
            every = ticks[:: model.every]
            rows = every[windows(len(every), model.length, model.stride)]
        else:
            span = (model.length - 1) * model.every + 1
            rows = ticks[any_window(len(ticks), span, rng)[:, :: model.every]]
        faces = Later(view, feature, view.nearest(feature, rows))
        return {"x": faces if rng is None else faces[:]}

    return sample


def whole_sound(feature: str, longest: int) -> Sampler:
    """``x`` (1, rows, 34), padded to the longest clip's, and ``steps`` (1,), rows that count."""
    length = max(longest, SHORTEST)

    def sample(view: ClipView, rng: np.random.Generator | None) -> Views:
        rows = view.all(feature)
        steps = max(len(rows), SHORTEST)
        padded = rows[np.minimum(np.arange(length), len(rows) - 1)]
        return {"x": padded[None], "steps": np.array([steps])}

    return sample


def single_maps(feature: str) -> Sampler:
    """One map at random in training, all of them else: ``x`` (views, 1, 34, 34)."""

    def sample(view: ClipView, rng: np.random.Generator | None) -> Views:
        maps = maps_of(view.all(feature))
        return {"x": (maps if rng is None else maps[rng.integers(0, len(maps), 1)])[:, None]}

    return sample


def map_sequences(feature: str, model: Model) -> Sampler:
    """``x`` (views, 8, 34, 34): in training one sequence that begins at any map."""

    def sample(view: ClipView, rng: np.random.Generator | None) -> Views:
        maps = maps_of(view.all(feature))
        if rng is None:
            return {"x": maps[windows(len(maps), model.maps, model.maps_stride)]}
        return {"x": maps[any_window(len(maps), model.maps, rng)]}

    return sample


def maps_of(rows: NDArray[np.generic]) -> NDArray[np.generic]:
    """Rows ``(n, 34)`` as maps ``(k, 34, 34)``, a map each 17 rows.

    n is brought to a multiple of 17, and to 34 at least, by repeating the last row; k is that
    less 17, by 17 (paper).
    """
    padded = max(MAP, -(-len(rows) // HOP) * HOP)
    starts = np.arange(0, padded - HOP, HOP)
    index = np.minimum(starts[:, None] + np.arange(MAP), len(rows) - 1)
    found: NDArray[np.generic] = rows[index]
    return found


def _ticks(view: ClipView, feature: str, fps: float) -> Ints:
    """The frame that is shown at each tick of the constant frame rate."""
    return Resample(fps, "previous").index(view.times(feature))
