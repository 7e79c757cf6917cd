"""The content hash of a clip's rows: the same however the rows were cut, packed or compressed."""

from __future__ import annotations

import hashlib

import numpy as np

from features.canonical import H
from features.spec import FeatureSpec, Rows, little_endian


class ContentHash:
    """The content hash, built up from consecutive rows of one clip.

    The hash is ``H("content", dtype, shape, sha256(values), sha256(valid), sha256(offsets))``
    over little-endian, C-ordered bytes of the clip's own rows; ``shape`` is that of ``values``
    (items for a ragged feature), the last entry is null for a plain one.

    Args:
        dims: shape of one row (one item, if ragged).
        dtype: numpy name of the values.
        ragged: whether the rows carry offsets.
    """

    def __init__(self, dims: tuple[int, ...], dtype: str, *, ragged: bool = False) -> None:
        self._dims = dims
        self._dtype = np.dtype(dtype).name
        self._items = 0
        self._values = hashlib.sha256()
        self._valid = hashlib.sha256()
        self._offsets = hashlib.sha256(bytes(8)) if ragged else None

    @classmethod
    def of(cls, spec: FeatureSpec) -> ContentHash:
        """An empty hash for the rows of ``spec``."""
        return cls(spec.dims, spec.dtype, ragged=spec.ragged)

    def update(self, rows: Rows) -> None:
        """Add the next rows."""
        self._values.update(little_endian(rows.values).reshape(-1).view(np.uint8).data)
        self._valid.update(np.ascontiguousarray(rows.valid, dtype=bool).view(np.uint8).data)
        if self._offsets is not None:
            if rows.offsets is None:
                raise ValueError("rows of a ragged feature must have offsets")
            self._offsets.update((rows.offsets[1:] + self._items).astype("<i8").tobytes())
        self._items += len(rows.values)

    def hexdigest(self) -> str:
        """The hash of all rows so far."""
        return H(
            "content",
            self._dtype,
            [self._items, *self._dims],
            self._values.hexdigest(),
            self._valid.hexdigest(),
            None if self._offsets is None else self._offsets.hexdigest(),
        )


def content_hash(rows: Rows) -> str:
    """The content hash of all of a clip's rows."""
    state = ContentHash(
        rows.values.shape[1:], rows.values.dtype.name, ragged=rows.offsets is not None
    )
    state.update(rows)
    return state.hexdigest()
