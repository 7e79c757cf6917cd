"""A feature of many clips as one lazy array, read part by part when it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.spec import FeatureSpec
from storage.location import Location
from storage.reader import open_part
from storage.records import Piece, Published

if TYPE_CHECKING:
    import dask.array as da

#: about as many bytes of values as one chunk of the lazy array holds
CHUNK_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class LazyArray:
    """The rows of many clips, one clip after the other.

    Attributes:
        spec: the feature.
        clips: corpus, clip, t0, step; ``row_start``, ``row_stop``: the clip's rows;
            ``flag_start``, ``flag_stop``: its entries of ``valid`` (the rows, but for sample
            rate); ragged: ``item_start``, ``item_stop``: its entries of ``values``.
        values: dask array ``(rows, *dims)``; ragged: ``(items, *dims)``.
        valid: dask array of bool: per row, or per block of 65,536 samples of a clip.
        offsets: ragged: int64 ``(rows + 1,)``: row ``i`` holds
            ``values[offsets[i]:offsets[i + 1]]``; else None.
    """

    spec: FeatureSpec
    clips: pa.Table
    values: da.Array
    valid: da.Array
    offsets: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        """Sizes, and none of the values."""
        return (
            f"LazyArray({self.spec.name!r}, clips={len(self.clips)}, rows={len(self)}, "
            f"values {self.shape} {self.dtype}, {self.values.nbytes / 1e6:,.1f} MB when computed)"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of ``values``."""
        return tuple(int(n) for n in self.values.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of ``values``."""
        return np.dtype(self.spec.dtype)

    def __len__(self) -> int:
        return int(self.clips["row_stop"][-1].as_py()) if len(self.clips) else 0

    def compute(self) -> NDArray[np.generic]:
        """All values as one numpy array."""
        computed: NDArray[np.generic] = self.values.compute()  # type: ignore[no-untyped-call]
        return computed


def lazy_array(location: Location, spec: FeatureSpec, published: Sequence[Published]) -> LazyArray:
    """One lazy array over results of one feature, in the order given."""
    pieces = [piece for result in published for piece in result.pieces]
    rows = [result.rows for result in published]
    columns: dict[str, Any] = {
        "corpus": pa.array([r.corpus for r in published], pa.string()),
        "clip": pa.array([r.clip for r in published], pa.string()),
        "t0": pa.array([r.t0 for r in published], pa.float64()),
        "step": pa.array([r.step for r in published], pa.float64()),
        **_bounds("row", rows),
        **_bounds("flag", [-(-n // spec.block) for n in rows]),
    }
    counts: list[int] | None = None
    offsets: NDArray[np.int64] | None = None
    if spec.ragged:
        lengths = [_lengths(location, spec.name, piece) for piece in pieces]
        counts = [int(n.sum()) for n in lengths]
        offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
        per_clip = iter(counts)
        columns |= _bounds("item", [sum(next(per_clip) for _ in r.pieces) for r in published])
    groups = list(_groups(pieces, spec, counts))
    dtype = np.dtype(spec.dtype)
    return LazyArray(
        spec=spec,
        clips=pa.table(columns),
        values=_joined(_values, location, spec.name, groups, 0, (*spec.dims,), dtype),
        valid=_joined(_valid, location, spec.name, groups, 1, (), np.dtype(bool)),
        offsets=offsets,
    )


@dataclass(frozen=True)
class _Group:
    """Pieces of one chunk, and the number of its values and of its validity flags."""

    pieces: tuple[Piece, ...]
    values: int
    flags: int


def _groups(
    pieces: Sequence[Piece], spec: FeatureSpec, counts: Sequence[int] | None
) -> Iterator[_Group]:
    """Pieces one after the other, gathered or cut so that a chunk has about ``CHUNK_BYTES``."""
    open_: list[Piece] = []
    values = flags = 0
    most = max(1, CHUNK_BYTES // max(1, spec.row_bytes))
    for i, piece in enumerate(pieces):
        for part in [piece] if counts is not None else _cut(piece, spec, most):
            rows = part.row_stop - part.row_start
            size = rows if counts is None else counts[i]
            if open_ and values + size > most:
                yield _Group(tuple(open_), values, flags)
                open_, values, flags = [], 0, 0
            open_.append(part)
            values += size
            flags += -(-rows // spec.block)
    if open_:
        yield _Group(tuple(open_), values, flags)


def _cut(piece: Piece, spec: FeatureSpec, most: int) -> Iterator[Piece]:
    step = max(1, most // spec.block) * spec.block
    for start in range(piece.row_start, piece.row_stop, step):
        yield Piece(piece.part, start, min(start + step, piece.row_stop))


def _joined(
    read: Any,
    location: Location,
    feature: str,
    groups: Sequence[_Group],
    axis: int,
    dims: tuple[int, ...],
    dtype: np.dtype[Any],
) -> da.Array:
    import dask.array as da
    from dask.delayed import delayed

    lengths = [group.flags if axis else group.values for group in groups]
    chunks = [
        da.from_delayed(  # type: ignore[no-untyped-call]
            delayed(read, pure=True)(location, feature, group.pieces),
            shape=(length, *dims),
            dtype=dtype,
        )
        for group, length in zip(groups, lengths, strict=True)
    ]
    if not chunks:
        chunks = [da.zeros((0, *dims), dtype=dtype)]
    joined: da.Array = da.concatenate(chunks)  # type: ignore[no-untyped-call]
    return joined


def _values(location: Location, feature: str, pieces: Sequence[Piece]) -> NDArray[np.generic]:
    return np.concatenate(
        [open_part(location, feature, p.part).read(p.row_start, p.row_stop).values for p in pieces]
    )


def _valid(location: Location, feature: str, pieces: Sequence[Piece]) -> NDArray[np.bool_]:
    return np.concatenate(
        [open_part(location, feature, p.part).valid(p.row_start, p.row_stop) for p in pieces]
    )


def _lengths(location: Location, feature: str, piece: Piece) -> NDArray[np.int64]:
    """Items in each row of a ragged piece."""
    return np.diff(
        open_part(location, feature, piece.part).offsets(piece.row_start, piece.row_stop)
    )


def _bounds(name: str, lengths: Sequence[int]) -> dict[str, pa.Array]:
    stops = list(accumulate(lengths))
    return {
        f"{name}_start": pa.array([0, *stops[:-1]] if stops else [], pa.int64()),
        f"{name}_stop": pa.array(stops, pa.int64()),
    }
