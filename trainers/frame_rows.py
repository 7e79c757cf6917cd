"""Predictions of millions of frames, kept as arrays and written out row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

import numpy as np
from numpy.typing import NDArray

Row = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class ClipFrames:
    """A clip's predictions: a column per label, ``(frames,)`` each; None is not asked for."""

    clip: str
    columns: tuple[NDArray[np.generic] | None, ...]
    frames: int

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Clip, frame from 0, and the labels' cells: six decimals, or whole numbers."""
        columns = [_cells(column, start, stop) for column in self.columns]
        for frame, *cells in zip(range(start, stop), *columns, strict=True):
            yield (self.clip, frame, *cells)


class FrameRows(Sequence[Row]):
    """Rows of ``Predictions``, clip after clip, each of them made when it is asked for."""

    def __init__(self, clips: Sequence[ClipFrames]) -> None:
        self._clips = tuple(clips)
        self._starts = np.array([0, *accumulate(clip.frames for clip in clips)], np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[Row]:
        for clip in self._clips:
            yield from clip.rows(0, clip.frames)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        clip = int(np.searchsorted(self._starts, place, "right")) - 1
        frame = place - int(self._starts[clip])
        return next(self._clips[clip].rows(frame, frame + 1))


def _cells(column: NDArray[np.generic] | None, start: int, stop: int) -> list[object]:
    if column is None:
        return [None] * (stop - start)
    values: list[object] = column[start:stop].tolist()
    if column.dtype.kind == "f":
        return [f"{value:.6f}" for value in values]
    return values
