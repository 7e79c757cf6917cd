"""One clip's features and frame labels on one line of rows, as trainers index them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from features.spec import Rows
from storage.clips import LABEL
from storage.errors import NotPublished
from storage.resample import TOLERANCE, Resample, nearest_valid, rows_at
from storage.selection import Selection

#: values ``(rows, *dims)`` and validity ``(rows,)``
Lined = tuple[NDArray[np.generic], NDArray[np.bool_]]


class ClipRows:
    """Reads clips of a selection so that row i of every feature is the same moment.

    The line is the clip's frames, or, with ``resample``, moments at a constant rate. Segment
    features stand on it by their last row that has begun, and are invalid where there is none
    (before the first one begins, after the last one's ``span``); a clip feature's row stands
    everywhere. Without frame features the line is the first segment feature's rows, by its own
    clock, or, without any, one row. Where frame features differ in length (labels of more rows
    than frames), the overlap is kept.

    Args:
        fill: features whose invalid rows take the nearest valid one's values (they become valid).

    Attributes:
        rows: int64 ``(clips,)``, rows of each clip's line.
        cut: how many clips had frame features of unequal length.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        resample: Resample | None = None,
        fill: Collection[str] = (),
    ) -> None:
        self.selection, self._resample = selection, resample
        self._fill = frozenset(fill)
        specs = selection.specs
        self.names = (*selection.features, *(LABEL + n for n in selection.frame_labels))
        sampled = [n for n in self.names if specs[n].rate == "sample"]
        if sampled:
            raise NotPublished(f"{sampled[0]} has a row per audio sample: read it clip by clip")
        self._frames = [n for n in self.names if specs[n].rate == "frame"]
        segments = [n for n in self.names if specs[n].rate == "segment"]
        # the features whose rows the line's own clock tells
        self._leaders = self._frames or segments[:1]
        self._times: dict[int, NDArray[np.float64]] = {}
        self.cut = 0
        self.rows = np.array([self._count(i) for i in range(len(selection))], np.int64)

    def read(self, clip: int) -> dict[str, Lined]:
        """Feature (``label.<name>`` for frame labels) -> its rows on the clip's line.

        Raises:
            DamagedPart.
        """
        store, chosen = self.selection.store, self.selection.clips[clip]
        out: dict[str, Lined] = {}
        for name in self.names:
            stored = store.read_result(chosen.results[name])
            values, valid = stored.values, stored.valid
            if name in self._fill:
                filled = nearest_valid(valid)
                values, valid = values[filled], valid[filled]
            index = self._index(clip, name, stored)
            if index is not None:
                values, valid = values[index], valid[index]
            if name not in self._fill and self._by_time(name):
                valid = valid & self._beneath(clip, name, stored)
            out[name] = (values, valid)
        return out

    def _count(self, clip: int) -> int:
        results = self.selection.clips[clip].results
        if not self._leaders:
            return 1
        counts = {results[name].rows for name in self._leaders}
        if self._frames and (self._resample is not None or any(map(self._by_time, self.names))):
            # labels alone may go on after the last frame, where the line has no moments
            counts.add(len(self._clock(clip)))
        self.cut += len(counts) > 1
        count = min(counts)
        if self._resample is None:
            return count
        return len(self._resample.times(self._clock(clip)[:count]))

    def _index(self, clip: int, name: str, stored: Rows) -> NDArray[np.int64] | None:
        """The stored row of each row of the line; None where it is the row itself."""
        rows = int(self.rows[clip])
        rate = self.selection.specs[name].rate
        if rate == "clip":
            return np.zeros(rows, np.int64)
        if name in self._leaders:
            if self._resample is None:
                return None if stored.rows == rows else np.arange(rows)
            return self._resample.index(self._clock(clip)[: self._shortest(clip)])
        own = np.asarray(stored.t0 + (stored.step or 0.0) * np.arange(stored.rows), np.float64)
        return rows_at(own, self._moments(clip), "previous")

    def _by_time(self, name: str) -> bool:
        """Rows of their own clock on a line of another one."""
        return self.selection.specs[name].rate == "segment" and name not in self._leaders

    def _beneath(self, clip: int, name: str, stored: Rows) -> NDArray[np.bool_]:
        """Which rows of the line, each until the next one, have a segment's row beneath them."""
        begins, step = self._moments(clip), stored.step
        if step is None or not len(begins):
            return np.ones(len(begins), bool)
        span = self.selection.specs[name].span or 2 * step
        stop = stored.t0 + (stored.rows - 1) * step + span
        # the last row is taken to last as long as the one before it
        ends = np.append(begins[1:], begins[-1] + (np.diff(begins)[-1:].sum() or step))
        return (ends > stored.t0 + TOLERANCE) & (begins < stop - TOLERANCE)

    def _moments(self, clip: int) -> NDArray[np.float64]:
        """Seconds of the line's rows."""
        clock = self._clock(clip)[: self._shortest(clip)]
        return clock if self._resample is None else self._resample.times(clock)

    def _shortest(self, clip: int) -> int:
        results = self.selection.clips[clip].results
        return min(results[name].rows for name in self._leaders)

    def _clock(self, clip: int) -> NDArray[np.float64]:
        """Seconds of the clip's frames, or of the rows of the segment feature that leads.

        Raises:
            NotPublished, StaleResult: see ``Selection.times``.
        """
        if clip not in self._times:
            chosen = self.selection.clips[clip]
            if self._frames:
                times = self.selection.times(chosen)
            else:
                lead = chosen.results[self._leaders[0]]
                steps = np.arange(lead.rows, dtype=np.float64)
                times = np.asarray(lead.t0 + (lead.step or 0.0) * steps, np.float64)
            self._times[clip] = times
        return self._times[clip]
