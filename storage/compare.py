"""Two results of one clip and feature: which rows changed, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.reader import open_part, read_digest
from storage.reading import StoreReader
from storage.records import Published

#: float features of at least so many columns are compared by their direction too
EMBEDDING_COLUMNS = 64
#: numbers compared at a time, so that memory doesn't grow with the clip
ENTRIES = 1 << 21
#: frames of a ragged feature compared at a time: how many items they hold isn't known before
RAGGED_ROWS = 4096


@dataclass(frozen=True)
class Size:
    """How large a change is, over the numbers that are finite before and after.

    Attributes:
        entries: numbers compared.
        total: sum of their absolute differences; ``largest``: the largest of these.
        vectors: rows compared by direction: without NaN and infinity, and not all zero.
        cosines: sum of their cosines; ``least``: the least of these.
    """

    entries: int = 0
    total: float = 0.0
    largest: float = 0.0
    vectors: int = 0
    cosines: float = 0.0
    least: float = 1.0

    def __add__(self, other: Size) -> Size:
        return Size(
            self.entries + other.entries,
            self.total + other.total,
            max(self.largest, other.largest),
            self.vectors + other.vectors,
            self.cosines + other.cosines,
            min(self.least, other.least),
        )

    @property
    def max_abs(self) -> float | None:
        """Largest absolute difference; None where nothing could be compared."""
        return self.largest if self.entries else None

    @property
    def mean_abs(self) -> float | None:
        """Mean absolute difference of a number; None where nothing could be compared."""
        return self.total / self.entries if self.entries else None

    @property
    def cosine(self) -> float | None:
        """Mean cosine of a row before and after; None unless the feature is an embedding."""
        return self.cosines / self.vectors if self.vectors else None

    @property
    def least_cosine(self) -> float | None:
        """Least cosine of a row before and after; None unless the feature is an embedding."""
        return self.least if self.vectors else None


@dataclass(frozen=True, eq=False)
class ClipDiff:
    """One clip's feature that a read gives differently: before and after.

    Attributes:
        rows: int64, numbers of the changed rows among those that both have; of a waveform, the
            first sample of each changed block.
        block: rows per entry of ``rows``: 1, or 65,536 for a waveform.
        rows_changed: rows that these stand for.
        rows_added, rows_removed: rows beyond the shorter result's last one.
        lost, gained: changed rows (blocks) that became invalid, or valid.
        size: of the change in the changed rows; of a ragged feature, in those that hold as many
            items before as after.
        items: of a ragged feature, items in the changed rows before and after.
        alike: the two have the same shape of rows and dtype; otherwise all rows are changed, and
            nothing is measured.
    """

    corpus: str
    clip: str
    feature: str
    before: Published
    after: Published
    rows: NDArray[np.int64]
    block: int
    rows_changed: int
    rows_added: int
    rows_removed: int
    lost: int
    gained: int
    size: Size
    items: tuple[int, int] | None
    alike: bool

    @property
    def moved(self) -> bool:
        """The rows lie elsewhere in time (``t0`` or ``step``)."""
        return (self.before.t0, self.before.step) != (self.after.t0, self.after.step)

    @property
    def rows_compared(self) -> int:
        """Rows that both have."""
        return min(self.before.rows, self.after.rows)


def compare(one: StoreReader, before: Published, other: StoreReader, after: Published) -> ClipDiff:
    """What differs between two results of a feature; only digests and changed rows are read.

    Raises:
        DamagedPart: rows of either can't be read.
    """
    spec, common = _spec(other, after), min(before.rows, after.rows)
    alike = _kind(_spec(one, before)) == _kind(spec)
    if before.content == after.content:
        changed = np.zeros(0, np.int64)
    elif alike:
        digests = [
            read_digest(store.location, result.feature, result.pieces)[: -(-common // spec.block)]
            for store, result in ((one, before), (other, after))
        ]
        changed = np.flatnonzero(digests[0] != digests[1]).astype(np.int64)
    else:
        changed = np.arange(-(-common // spec.block), dtype=np.int64)
    size, lost, gained, items, equal = Size(), 0, 0, np.zeros(2, np.int64), []
    for first, last in _runs(changed, spec) if alike else ():
        start, stop = first * spec.block, min(last * spec.block, common)
        old = one.read_result(before, start, stop)
        new = other.read_result(after, start, stop)
        if spec.block > 1 and _same(old, new):
            # the block only goes on, or stops earlier, beyond the rows that both have
            equal.append(first)
            continue
        lost += int(np.count_nonzero(old.valid & ~new.valid))
        gained += int(np.count_nonzero(new.valid & ~old.valid))
        items += (len(old.values), len(new.values))
        size += _size(spec, *_paired(old, new))
    changed = np.setdiff1d(changed, np.asarray(equal, np.int64), assume_unique=True)
    rows = changed * spec.block
    return ClipDiff(
        corpus=after.corpus,
        clip=after.clip,
        feature=after.feature,
        before=before,
        after=after,
        rows=rows,
        block=spec.block,
        rows_changed=int(np.minimum(spec.block, common - rows).sum()),
        rows_added=after.rows - common,
        rows_removed=before.rows - common,
        lost=lost,
        gained=gained,
        size=size,
        items=(int(items[0]), int(items[1])) if spec.ragged else None,
        alike=alike,
    )


def runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """``[3, 4, 5, 9]`` -> ``(3, 6), (9, 10)``: [start, stop) of each run of rising numbers."""
    if not len(numbers):
        return
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for run in np.split(numbers, breaks):
        yield int(run[0]), int(run[-1]) + 1


def _runs(changed: NDArray[np.int64], spec: FeatureSpec) -> Iterator[tuple[int, int]]:
    """Runs of flags, none longer than what is compared at a time."""
    entries = spec.block * int(np.prod(spec.dims, dtype=np.int64))
    longest = RAGGED_ROWS if spec.ragged else max(1, ENTRIES // max(1, entries))
    if spec.block > 1:
        longest = 1  # each block is looked at by itself
    for start, stop in runs(changed):
        for first in range(start, stop, longest):
            yield first, min(first + longest, stop)


def _spec(store: StoreReader, result: Published) -> FeatureSpec:
    if result.pieces:
        return open_part(store.location, result.feature, result.pieces[0].part).spec
    return store.spec(result)


def _kind(spec: FeatureSpec) -> tuple[object, ...]:
    return spec.dims, np.dtype(spec.dtype), spec.ragged, spec.block


def _same(old: Rows, new: Rows) -> bool:
    return bool(np.array_equal(old.valid, new.valid)) and bool(
        np.array_equal(old.values, new.values)
    )


def _paired(old: Rows, new: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values of both, item by item; of ragged rows those whose numbers of items agree."""
    if old.offsets is None or new.offsets is None:
        return old.values, new.values
    counts = np.diff(old.offsets), np.diff(new.offsets)
    agree = counts[0] == counts[1]
    return old.values[np.repeat(agree, counts[0])], new.values[np.repeat(agree, counts[1])]


def _size(spec: FeatureSpec, old: NDArray[Any], new: NDArray[Any]) -> Size:
    if np.dtype(spec.dtype).kind not in "fiub":
        return Size()
    one, other = old.astype(np.float64), new.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.abs(one - other)
    finite = distance[np.isfinite(distance)]
    found = Size(finite.size, float(finite.sum()), float(finite.max(initial=0.0)))
    return found + _direction(spec, one, other)


def _direction(spec: FeatureSpec, one: NDArray[Any], other: NDArray[Any]) -> Size:
    if spec.ragged or len(spec.dims) != 1 or spec.dims[0] < EMBEDDING_COLUMNS:
        return Size()
    if np.dtype(spec.dtype).kind != "f":
        return Size()
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    dots = np.einsum("ij,ij->i", one[usable], other[usable])
    cosines = np.clip(dots / lengths[usable], -1.0, 1.0)
    return Size(
        vectors=len(cosines), cosines=float(cosines.sum()), least=float(cosines.min(initial=1.0))
    )
