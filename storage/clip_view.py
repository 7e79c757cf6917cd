"""One clip of a selection, read row by row where its whole is too much to keep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec
from storage.reader import open_part
from storage.resample import nearest_valid
from storage.selection import SelectedClip, Selection


class ClipView:
    """What a trainer's sampler sees of a clip; safe to use from several threads.

    Args:
        keep: rows that were read stay in memory; else each ``take`` reads what it needs.
    """

    def __init__(self, selection: Selection, number: int, *, keep: bool = False) -> None:
        self._selection, self._keep = selection, keep
        self.number = number
        self.clip: SelectedClip = selection.clips[number]
        self._values: dict[str, NDArray[np.generic]] = {}
        self._valid: dict[str, NDArray[np.bool_]] = {}
        self._times: NDArray[np.float64] | None = None

    def rows(self, feature: str) -> int:
        """How many rows the clip has of a feature."""
        return self.clip.results[feature].rows

    def spec(self, feature: str) -> FeatureSpec:
        """What the feature is."""
        return self._selection.specs[feature]

    def valid(self, feature: str) -> NDArray[np.bool_]:
        """Validity ``(rows,)``, read without the values."""
        found = self._valid.get(feature)
        if found is None:
            store, pieces = self._selection.store, self.clip.results[feature].pieces
            parts = [
                open_part(store.location, feature, p.part).valid(p.row_start, p.row_stop)
                for p in pieces
            ]
            found = self._valid[feature] = np.concatenate(parts)
        return found

    def nearest(self, feature: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The valid rows nearest to some; the same ones if none is valid."""
        return np.asarray(nearest_valid(self.valid(feature))[rows], np.int64)

    def take(self, feature: str, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        """Values ``(len(rows), *dims)``; neighbouring rows are read at once."""
        if self._keep:
            return self.all(feature)[rows]
        wanted, place = np.unique(rows, return_inverse=True)
        if not len(wanted):
            spec = self.spec(feature)
            return np.zeros((0, *spec.dims), spec.dtype)
        breaks = np.flatnonzero(np.diff(wanted) > 1) + 1
        read = [
            self._read(feature, int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, breaks)
        ]
        return np.concatenate(read)[place]

    def all(self, feature: str) -> NDArray[np.generic]:
        """All values ``(rows, *dims)``."""
        found = self._values.get(feature)
        if found is None:
            found = self._read(feature, 0, None)
            if self._keep:
                self._values[feature] = found
        return found

    def times(self, feature: str) -> NDArray[np.float64]:
        """Container seconds of the rows: of frames by the clip's timeline, else t0 + i · step.

        Raises:
            NotPublished, StaleResult: see ``Selection.times``.
        """
        result = self.clip.results[feature]
        if self.spec(feature).rate != "frame":
            return np.asarray(result.t0 + (result.step or 0.0) * np.arange(result.rows), np.float64)
        if self._times is None:
            self._times = self._selection.times(self.clip)
        return self._times[: result.rows]

    def _read(self, feature: str, start: int, stop: int | None) -> NDArray[np.generic]:
        stored = self._selection.store.read_result(self.clip.results[feature], start, stop)
        return stored.values
