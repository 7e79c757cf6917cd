"""The control experiment: the same training with labels that belong to other clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from storage.batches import Windows
from storage.clip_rows import ClipRows, Lined
from storage.clips import LABEL


class OtherLabels(ClipRows):
    """Rows whose labels are those of another clip, so that nothing can be learned from them.

    A clip's labels are another clip's, turned round by half their length and stretched by
    repetition to its own.
    """

    def __init__(self, rows: ClipRows, seed: int) -> None:
        self.__dict__ |= vars(rows)
        self._other = derangement(len(rows.rows), np.random.default_rng([seed, 99]))

    def read(self, clip: int) -> dict[str, Lined]:
        """As the clip's rows, but for the labels."""
        own = super().read(clip)
        other = super().read(int(self._other[clip]))
        count = int(self.rows[clip])
        out = dict(own)
        for name in own:
            if name.startswith(LABEL):
                values, valid = other[name]
                index = (np.arange(count) + len(values) // 2) % max(len(values), 1)
                out[name] = (values[index], valid[index])
        return out


class OtherRowsLabels(ClipRows):
    """Rows whose labels are those of another row of the clip: for pictures without an order."""

    def __init__(self, rows: ClipRows, seed: int) -> None:
        self.__dict__ |= vars(rows)
        self._seed = seed

    def read(self, clip: int) -> dict[str, Lined]:
        """As the clip's rows, but for the labels."""
        found = super().read(clip)
        rng = np.random.default_rng([self._seed, 99, clip])
        order = derangement(int(self.rows[clip]), rng)
        return {
            name: (values[order], valid[order]) if name.startswith(LABEL) else (values, valid)
            for name, (values, valid) in found.items()
        }


def derangement(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation in which nothing stays where it is, if there are two or more."""
    order = rng.permutation(count)
    turned = np.empty(count, np.int64)
    turned[order] = np.roll(order, 1)
    return turned


def shuffled(windows: Windows, seed: int) -> Windows:
    """The same windows with other clips' labels, frame labels and clip labels both."""
    selection = windows.selection
    order = derangement(len(selection), np.random.default_rng([seed, 99])).tolist()
    given: list[Mapping[str, float | int | str | None]] = [c.labels for c in selection.clips]
    clips = tuple(
        replace(clip, labels=given[other])
        for clip, other in zip(selection.clips, order, strict=True)
    )
    rows = OtherLabels(windows.rows, seed)
    rows.selection = replace(selection, clips=clips)
    return _of(windows, rows)


def shuffled_pictures(windows: Windows, seed: int) -> Windows:
    """The same windows of single rows, each with the label of another row of its clip."""
    return _of(windows, OtherRowsLabels(windows.rows, seed))


def _of(windows: Windows, rows: ClipRows) -> Windows:
    return Windows(
        rows,
        windows.clips,
        windows.starts,
        windows.counts,
        device=windows.device,
        mode=windows.loading.mode,
    )
