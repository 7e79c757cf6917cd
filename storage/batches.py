"""Padded, masked batches of windows or whole clips, in an order that a seed repeats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from storage.clip_rows import ClipRows, Lined
from storage.clips import LABEL
from storage.loading import Gathered, Loading, Mode, Resident, choose, collate, kept

Tail = Literal["anchor", "drop", "pad"]

#: windows that a streamed epoch holds to draw from
SHUFFLE_BUFFER = 4096

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of several features and their labels.

    Attributes:
        values: feature -> ``(windows, length, *dims)``; rows past a window's stop are 0.
        valid: feature -> bool ``(windows, length)``.
        mask: bool ``(windows, length)``, rows that are there.
        labels: name -> ``(windows, length)`` for frame labels, ``(windows,)`` for clip labels.
        labelled: name -> bool of the same shape.
        clips, starts: int64 ``(windows,)``, position in the selection and first row.
    """

    values: Mapping[str, torch.Tensor]
    valid: Mapping[str, torch.Tensor]
    mask: torch.Tensor
    labels: Mapping[str, torch.Tensor]
    labelled: Mapping[str, torch.Tensor]
    clips: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        """Shapes, and none of the values."""
        shapes = {name: tuple(t.shape) for name, t in {**self.values, **self.labels}.items()}
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        return f"Batch({len(self)} windows: {told})"

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""

        def moved(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {k: v.to(device, non_blocking=True) for k, v in tensors.items()}

        return replace(
            self,
            values=moved(self.values),
            valid=moved(self.valid),
            mask=self.mask.to(device, non_blocking=True),
            labels=moved(self.labels),
            labelled=moved(self.labelled),
        )


class Windows:
    """Windows over the clips of a selection.

    Args:
        clips, starts, counts: per window, its clip, first row and number of rows.
        device: where batches are wanted.
        mode: how rows are kept; the fastest that fits if None.

    Attributes:
        loading: what was chosen; tell it to the user.
    """

    def __init__(
        self,
        rows: ClipRows,
        clips: Ints,
        starts: Ints,
        counts: Ints,
        *,
        device: torch.device | str = "cpu",
        mode: Mode | None = None,
    ) -> None:
        self.rows, self.selection = rows, rows.selection
        self.clips, self.starts, self.counts = clips, starts, counts
        self.device = torch.device(device)
        specs = self.selection.specs
        row_bytes = sum(specs[name].row_bytes + 1 for name in rows.names)
        self.loading: Loading = choose(int(rows.rows.sum()) * row_bytes, self.device, mode)
        self._resident: Resident | None = None
        self._clip_labels = {
            name: tuple(map(torch.from_numpy, self.selection.clip_label(name)))
            for name in self.selection.clip_labels
        }

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        """Sizes, and none of the values."""
        return (
            f"Windows({len(self)} of {', '.join(self.rows.names)}, "
            f"clips={len(self.selection.clips)}, kept in {self.loading.mode})"
        )

    def stream(self, streamed: bool) -> None:
        """Stream the rows, or keep them where they fit best, from now on; see ``loading``."""
        if streamed == (self.loading.mode == "stream"):
            return
        total, self._resident = self.loading.bytes, None
        found = choose(total, self.device, "stream" if streamed else None)
        self.loading = (
            found if streamed == (found.mode == "stream") else choose(total, self.device, "ram")
        )

    def batches(
        self, size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0
    ) -> Iterator[Batch]:
        """All windows once, ``size`` at a time; the last batch may be smaller.

        The order follows from seed and epoch alone: an epoch can be repeated without those
        before it. Streamed, it is shuffled by parts and by a buffer, else entirely.

        Raises:
            ValueError: the size is below 1.
        """
        if size < 1:
            raise ValueError(f"batches of {size} windows: give a number from 1 on")
        return self._batches(size, shuffle, np.random.default_rng([seed, epoch]))

    def _batches(self, size: int, shuffle: bool, rng: np.random.Generator) -> Iterator[Batch]:
        if self.loading.mode == "stream":
            yield from self._stream(size, rng if shuffle else None)
            return
        if self._resident is None:
            place = self.device if self.loading.mode == "device" else torch.device("cpu")
            self._resident = Resident(self.rows, place)
            kept(self.loading)
        order = rng.permutation(len(self)) if shuffle else np.arange(len(self))
        for at in range(0, len(order), size):
            chosen = order[at : at + size]
            clips, starts = self.clips[chosen], self.starts[chosen]
            gathered, mask = self._resident.gather(clips, starts, self.counts[chosen])
            yield self._batch(gathered, mask, clips, starts)

    def _batch(
        self, gathered: Mapping[str, Gathered], mask: torch.Tensor, clips: Ints, starts: Ints
    ) -> Batch:
        frames = {LABEL + n for n in self.selection.frame_labels}
        per_clip = {n: (v[clips], k[clips]) for n, (v, k) in self._clip_labels.items()}
        per_frame = {n.removeprefix(LABEL): pair for n, pair in gathered.items() if n in frames}
        labels = per_frame | per_clip
        return Batch(
            values={n: v for n, (v, _) in gathered.items() if n not in frames},
            valid={n: k for n, (_, k) in gathered.items() if n not in frames},
            mask=mask,
            labels={n: v for n, (v, _) in labels.items()},
            labelled={n: k for n, (_, k) in labels.items()},
            clips=clips,
            starts=starts,
        ).to(self.device)

    def _stream(self, size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """Clips one after the other, each read once; windows leave a buffer at random."""
        buffer: list[tuple[int, Mapping[str, Lined]]] = []
        leaving: list[tuple[int, Mapping[str, Lined]]] = []
        limit = SHUFFLE_BUFFER if rng is not None else 0
        for window in self._windows_of(self._clip_order(rng), rng):
            buffer.append(window)
            if len(buffer) > limit:
                leaving.append(_draw(buffer, rng))
            if len(leaving) == size:
                yield self._collated(leaving)
                leaving = []
        while buffer:
            leaving.append(_draw(buffer, rng))
            if len(leaving) == size or not buffer:
                yield self._collated(leaving)
                leaving = []
        if leaving:
            yield self._collated(leaving)

    def _clip_order(self, rng: np.random.Generator | None) -> list[int]:
        """Clips that have windows: those of a part together, parts and clips shuffled."""
        used: list[int] = np.unique(self.clips).tolist()
        if rng is None:
            return used
        lead = self.rows.names[0]
        parts: dict[str, list[int]] = {}
        for clip in used:
            pieces = self.selection.clips[clip].results[lead].pieces
            parts.setdefault(pieces[0].part, []).append(clip)
        groups = [parts[name] for name in sorted(parts)]
        mixed = [groups[i] for i in rng.permutation(len(groups)).tolist()]
        return [group[i] for group in mixed for i in rng.permutation(len(group)).tolist()]

    def _windows_of(
        self, order: Sequence[int], rng: np.random.Generator | None
    ) -> Iterator[tuple[int, Mapping[str, Lined]]]:
        """Number and rows (copied) of each window, clip by clip; the next clip is read ahead."""
        by_clip: dict[int, list[int]] = {}
        for number, clip in enumerate(self.clips.tolist()):
            by_clip.setdefault(clip, []).append(number)
        with ThreadPoolExecutor(1) as ahead:
            following = [ahead.submit(self.rows.read, clip) for clip in order[:1]]
            for i, clip in enumerate(order):
                rows = following.pop().result()
                if i + 1 < len(order):
                    following.append(ahead.submit(self.rows.read, order[i + 1]))
                numbers = by_clip[clip]
                if rng is not None:
                    numbers = [numbers[k] for k in rng.permutation(len(numbers)).tolist()]
                for number in numbers:
                    start = int(self.starts[number])
                    stop = start + int(self.counts[number])
                    yield (
                        number,
                        {n: (v[start:stop].copy(), k[start:stop]) for n, (v, k) in rows.items()},
                    )

    def _collated(self, windows: Sequence[tuple[int, Mapping[str, Lined]]]) -> Batch:
        numbers = np.array([number for number, _ in windows], np.int64)
        gathered, mask = collate([rows for _, rows in windows])
        return self._batch(gathered, mask, self.clips[numbers], self.starts[numbers])


def _draw(
    buffer: list[tuple[int, Mapping[str, Lined]]], rng: np.random.Generator | None
) -> tuple[int, Mapping[str, Lined]]:
    """Take one out: any of them, or the first."""
    if rng is None:
        return buffer.pop(0)
    place = int(rng.integers(len(buffer)))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()


def lay_windows(
    rows: Ints, length: int, stride: int, tail: Tail = "anchor"
) -> tuple[Ints, Ints, Ints]:
    """Where windows lie in clips of so many rows.

    Args:
        tail: rows that no whole window reaches: ``anchor`` adds a window that stops at the
            clip's last row, ``pad`` one that reaches over it, ``drop`` leaves them out. A clip
            shorter than a window gives one padded window, unless ``drop``.

    Returns:
        clips, starts and counts, int64 ``(windows,)`` each, in order of clip and start.

    Raises:
        ValueError: length or stride below 1.
    """
    if length < 1 or stride < 1:
        raise ValueError(f"windows of {length} rows every {stride}: give numbers from 1 on")
    found: list[tuple[int, int, int]] = []
    for clip, count in enumerate(rows.tolist()):
        starts = list(range(0, count - length + 1, stride))
        covered = starts[-1] + length if starts else 0
        if covered < count and tail != "drop":
            if count < length or tail == "pad":
                following = starts[-1] + stride if starts else 0
                starts.append(min(following, count - 1))
            else:
                starts.append(count - length)
        found += [(clip, start, min(length, count - start)) for start in starts]
    table = np.array(found, np.int64).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def whole_clips(rows: Ints) -> tuple[Ints, Ints, Ints]:
    """One window per clip, of all its rows."""
    clips = np.flatnonzero(rows > 0)
    return clips, np.zeros(len(clips), np.int64), rows[clips]
