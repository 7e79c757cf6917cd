"""Many short windows of a feature at once, with as little between file and array as can be.

Where a window lies is computed for the whole batch; then every window is one ``preadv`` into
the output, or one copy from a memory map.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec
from storage.location import Location
from storage.pieces import spans
from storage.raw import ArraySource, MappedFile, RawFile
from storage.reader import OPEN_PARTS, Mode, PartReader, open_part
from storage.records import Piece

#: parts that one feature holds besides the process's cache
_HELD_PARTS = max(16, OPEN_PARTS // 4)


class FeatureWindows:
    """Windows of one plain feature over many clips.

    Args:
        location: the store's root.
        feature: its name.
        clips: per clip, its pieces; a clip is named by its position herein.
        mode: how local raw parts are read.

    Errors: ValueError if the feature is ragged, or no clip has rows.
    """

    def __init__(
        self,
        location: Location,
        feature: str,
        clips: Sequence[Sequence[Piece]],
        mode: Mode = "preadv",
    ) -> None:
        flat = [piece for pieces in clips for piece in pieces]
        if not flat:
            raise ValueError(f"no clip has rows of {feature}")
        self._location, self.feature, self._mode = location, feature, mode
        self._clips = clips
        self._names = sorted({piece.part for piece in flat})
        numbers = {name: number for number, name in enumerate(self._names)}
        lengths = np.array([piece.row_stop - piece.row_start for piece in flat], np.int64)
        #: all clips' rows end to end: where each piece starts and stops on that line
        self._stops = np.cumsum(lengths)
        self._starts = self._stops - lengths
        self._parts = np.array([numbers[piece.part] for piece in flat], np.int64)
        self._shift = np.array([piece.row_start for piece in flat], np.int64) - self._starts
        #: rows of each clip
        self.rows = np.array(
            [sum(piece.row_stop - piece.row_start for piece in pieces) for pieces in clips],
            np.int64,
        )
        self._bases = np.cumsum(self.rows) - self.rows
        #: the values of the parts that were read last, by position in ``_names``
        self._sources: dict[int, ArraySource] = {}
        self.spec: FeatureSpec = self._reader(self._names[0]).spec
        if self.spec.ragged:
            raise ValueError(f"{feature} is ragged: read its rows clip by clip")

    def read(
        self,
        clips: NDArray[np.integer[Any]],
        starts: NDArray[np.integer[Any]],
        length: int,
        *,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Values ``(windows, length, *dims)`` of the windows ``[start, start + length)``.

        Args:
            clips, starts: per window, the clip's position and its first row in the clip.
            out: C-contiguous array of the result's shape and dtype; filled and returned.

        Errors: IndexError for a window outside its clip; DamagedPart.
        """
        clips, starts = np.asarray(clips), np.asarray(starts)
        shape = (len(clips), length, *self.spec.dims)
        if out is None:
            out = np.empty(shape, self.spec.dtype)
        elif out.shape != shape or out.dtype != np.dtype(self.spec.dtype):
            raise ValueError(f"out must be {self.spec.dtype} of shape {shape}")
        line = self._line(clips, starts, length)
        if not out.size:
            return out
        at = np.searchsorted(self._starts, line, side="right") - 1
        whole = line + length <= self._stops[at]
        parts, rows = self._parts[at], line + self._shift[at]
        if whole.all():
            self._read_whole(parts.tolist(), rows.tolist(), range(len(rows)), out)
            return out
        places = np.flatnonzero(whole).tolist()
        self._read_whole(parts[whole].tolist(), rows[whole].tolist(), places, out)
        for number in np.flatnonzero(~whole).tolist():
            self._read_across(int(clips[number]), int(starts[number]), out[number])
        return out

    def _line(
        self, clips: NDArray[np.integer[Any]], starts: NDArray[np.integer[Any]], length: int
    ) -> NDArray[np.int64]:
        """Where the windows start on the line of all clips' rows."""
        bad = (starts < 0) | (starts + length > self.rows[clips])
        if bad.any():
            number = int(np.argmax(bad))
            clip, start = int(clips[number]), int(starts[number])
            raise IndexError(
                f"window [{start}, {start + length}) of {self.feature} is outside clip {clip}, "
                f"which has {int(self.rows[clip])} rows"
            )
        line: NDArray[np.int64] = self._bases[clips] + starts
        return line

    def _read_whole(
        self, parts: list[int], rows: list[int], places: Sequence[int], out: NDArray[Any]
    ) -> None:
        length, row_bytes = out.shape[1], self.spec.row_bytes
        size = length * row_bytes
        flat = out.reshape(-1).view(np.uint8).data
        preadv, known = os.preadv, self._sources
        for part, row, place in zip(parts, rows, places, strict=True):
            source = known.get(part) or self._source(part)
            if isinstance(source, MappedFile):
                out[place] = source.array[row : row + length]
            elif isinstance(source, RawFile):
                begin = place * size
                got = preadv(source.handle, (flat[begin : begin + size],), row * row_bytes)
                if got != size:
                    self._reader(self._names[part]).values(row, row + length, out[place])
            else:
                self._reader(self._names[part]).values(row, row + length, out[place])

    def _read_across(self, clip: int, start: int, out: NDArray[Any]) -> None:
        done = 0
        for span in spans(self._clips[clip], start, start + len(out)):
            count = span.row_stop - span.row_start
            reader = self._reader(span.part)
            reader.values(span.row_start, span.row_stop, out[done : done + count])
            done += count

    def _reader(self, part: str) -> PartReader:
        return open_part(self._location, self.feature, part, self._mode)

    def _source(self, number: int) -> ArraySource:
        source = self._sources.get(number)
        if source is None:
            reader = self._reader(self._names[number])
            with reader.reading():
                source = reader.source("values")
            if len(self._sources) >= _HELD_PARTS:  # let go of files; those in use stay open
                self._sources.clear()
            self._sources[number] = source
        return source
