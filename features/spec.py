"""The two types in which extractors and the store meet: what a feature is, and its rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Rate = Literal["frame", "segment", "clip", "sample"]

#: samples of a waveform that share one validity flag and one digest
SAMPLES_PER_BLOCK = 65_536

#: names that are safe as a folder's, of features and of labels (``label.AU12``)
_SAFE_NAME = re.compile(r"[^\W_][\w \-+.()]*")

#: bytes of rows that are hashed at once
_DIGESTED_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature is, independent of who computes it.

    Attributes:
        name: the feature's name, for example ``mfcc_mel``.
        rate: what one row stands for: a decoded video ``frame``, a ``segment`` of fixed step,
            the whole ``clip``, or one audio ``sample``.
        dims: shape of one row; ``()`` for scalars. For a ragged feature, shape of one item. In a
            declaration, 0 where only the program that makes it knows (``outputs_for``).
        dtype: numpy name, little-endian in storage, for example ``float32``.
        columns: names along the last axis, or empty.
        units: unit of the values, or of each column, in words.
        ragged: a row holds any number of items; ``Rows.offsets`` tells which.
        description: one line for lists and docs.
        groups: (name, start, stop) of runs of columns that are read by ``<feature>.<name>``.
        codec: how the store packs the values: ``raw``, or ``jpeg95`` for images whose pixels are
            settled (``features.jpeg``). What is read is the same.
        span: seconds, from its time on, of which a segment's row is made; None: two steps.
        every: seconds from one segment to the next under default parameters, by which plans tell
            bytes before anything is computed.

    Raises:
        ValueError: the name can't be a folder's, there is no such rate, or ``every`` is no time.
    """

    name: str
    rate: Rate
    dims: tuple[int, ...]
    dtype: str
    columns: tuple[str, ...] = field(default=(), repr=False)
    units: str = ""
    ragged: bool = False
    description: str = ""
    groups: tuple[tuple[str, int, int], ...] = field(default=(), repr=False)
    codec: str = field(default="raw", compare=False)
    span: float | None = field(default=None, compare=False)
    every: float = field(default=0.01, compare=False)

    def __post_init__(self) -> None:
        if not is_safe_name(self.name):
            raise ValueError(
                f"a feature can't be named {self.name!r}: stores keep it in a folder of that name; "
                "use letters, digits and _"
            )
        if self.rate not in get_args(Rate):
            raise ValueError(
                f"{self.name}: there is no rate {self.rate!r}; it is one of "
                f"{', '.join(get_args(Rate))}"
            )
        if not self.every > 0:
            raise ValueError(f"{self.name}: every={self.every}; give seconds above 0")

    @property
    def block(self) -> int:
        """Rows that share one validity flag and one digest: 1, or 65,536 for samples."""
        return SAMPLES_PER_BLOCK if self.rate == "sample" else 1

    @property
    def row_bytes(self) -> int:
        """Bytes of one row (one item, if ragged)."""
        return int(np.prod(self.dims, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def empty(self, *, t0: float = 0.0, step: float | None = None) -> Rows:
        """Zero rows of this feature."""
        return self.invalid(0, t0=t0, step=step)

    def invalid(self, rows: int, *, t0: float = 0.0, step: float | None = None) -> Rows:
        """``rows`` invalid rows: NaN for floats, 0 for integers, no items if ragged."""
        dtype = np.dtype(self.dtype)
        fill = np.nan if dtype.kind == "f" else 0
        flags = np.zeros(-(-rows // self.block), bool)
        if self.ragged:
            return Rows(
                np.zeros((0, *self.dims), dtype), flags, t0, step, np.zeros(rows + 1, np.int64)
            )
        values = np.full((rows, *self.dims), fill, dtype)
        return Rows(values, flags, t0, step, block=self.block)


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive rows of one feature of one clip.

    Attributes:
        values: ``(rows, *dims)``; ragged: ``(items, *dims)``, all rows' items one after the other.
        valid: bool ``(rows,)``; for sample-rate features one flag per block of 65,536 samples.
        t0: container seconds of the first row.
        step: seconds between rows; ``None`` where rows follow the clip's timeline.
        offsets: int64 ``(rows + 1,)``, starting at 0, for ragged features, else ``None``:
            row ``i`` holds ``values[offsets[i]:offsets[i + 1]]``.
        block: rows per entry of ``valid`` and ``digest``.
    """

    values: NDArray[np.generic]
    valid: NDArray[np.bool_]
    t0: float = 0.0
    step: float | None = None
    offsets: NDArray[np.int64] | None = None
    block: int = 1

    def __post_init__(self) -> None:
        flags = -(-self.rows // self.block)
        if self.valid.shape != (flags,):
            raise ValueError(f"valid has shape {self.valid.shape}, {flags} flags are needed")
        if self.offsets is not None and (
            self.offsets[0] != 0 or self.offsets[-1] != len(self.values)
        ):
            raise ValueError("offsets must start at 0 and end at the number of items")

    @property
    def rows(self) -> int:
        """Number of rows (frames for a ragged frame feature, samples for a waveform)."""
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        """Sizes, and none of the values."""
        step = "" if self.step is None else f", step={self.step:g}"
        return (
            f"Rows(rows={self.rows}, values {self.values.shape} {self.values.dtype}, "
            f"{100 * self.valid_share:.1f} % valid, t0={self.t0:g}{step})"
        )

    @property
    def valid_share(self) -> float:
        """Share of valid rows, 0..1; 0 for no rows."""
        return float(self.valid.mean()) if len(self.valid) else 0.0

    @cached_property
    def digest(self) -> NDArray[np.uint64]:
        """First 8 bytes (little-endian) of blake2b(row values + validity byte), per flag."""
        values = little_endian(self.values)
        size = values.itemsize * int(np.prod(values.shape[1:], dtype=np.int64))
        blake = hashlib.blake2b
        if self.offsets is None and self.block == 1:
            return _row_digests(values, size, self.valid)
        if self.offsets is not None:
            bounds = self.offsets
        else:
            bounds = np.minimum(np.arange(len(self.valid) + 1) * self.block, self.rows)
        raw = values.reshape(-1).view(np.uint8).data
        out = bytearray()
        starts = (bounds * size).tolist()
        for start, stop, flag in zip(starts[:-1], starts[1:], self.valid.tolist(), strict=True):
            state = blake(raw[start:stop])
            state.update(b"\x01" if flag else b"\x00")
            out += state.digest()[:8]
        return np.frombuffer(bytes(out), "<u8").astype(np.uint64)

    def slice(self, start: int, stop: int) -> Rows:
        """Rows ``[start, stop)``. For sample rate, ``start`` must lie on a block border."""
        start, stop = max(0, start), min(stop, self.rows)
        if start % self.block:
            raise ValueError(f"start {start} is not on a border of {self.block} rows")
        t0 = self.t0 + start * self.step if self.step is not None else self.t0
        valid = self.valid[start // self.block : -(-stop // self.block)]
        if self.offsets is None:
            return Rows(self.values[start:stop], valid, t0, self.step, block=self.block)
        bounds = self.offsets[start : stop + 1]
        return Rows(self.values[bounds[0] : bounds[-1]], valid, t0, self.step, bounds - bounds[0])

    def take(self, index: NDArray[np.intp]) -> Rows:
        """The rows at ``index``, in that order; not for sample rate."""
        if self.offsets is None:
            return Rows(self.values[index], self.valid[index], self.t0, self.step)
        if not len(index):
            return self.slice(0, 0)
        return Rows.concat([self.slice(int(i), int(i) + 1) for i in index])

    @staticmethod
    def concat(pieces: Sequence[Rows]) -> Rows:
        """One ``Rows`` from consecutive pieces (at least one)."""
        first = pieces[0]
        if len(pieces) == 1:
            return first
        if any(len(p.values) % first.block for p in pieces[:-1]):
            raise ValueError(f"pieces must end on borders of {first.block} rows")
        return Rows(
            np.concatenate([p.values for p in pieces]),
            np.concatenate([p.valid for p in pieces]),
            first.t0,
            first.step,
            None if first.offsets is None else _join_offsets(p.offsets for p in pieces),
            first.block,
        )


def is_safe_name(name: str) -> bool:
    """A feature's name can be that of a folder, on any system, and doesn't leave its parent."""
    return len(name) <= 200 and _SAFE_NAME.fullmatch(name) is not None


def _row_digests(
    values: NDArray[np.generic], size: int, valid: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    """Digests of rows of ``size`` bytes, one flag each; never more than some MB are copied."""
    blake = hashlib.blake2b
    rows = len(valid)
    octets = values.reshape(-1).view(np.uint8).reshape(rows, size)
    at_once = max(1, _DIGESTED_AT_ONCE // (size + 1))
    # row and flag side by side: one call per row, where calls cost more than hashing
    flagged = np.empty((min(rows, at_once), size + 1), np.uint8)
    out = np.empty(rows, np.uint64)
    for start in range(0, rows, at_once):
        stop = min(start + at_once, rows)
        part = flagged[: stop - start]
        part[:, :size] = octets[start:stop]
        part[:, size] = valid[start:stop]
        lines = part.view(f"V{size + 1}")[:, 0].tolist()
        joined = b"".join([state.digest() for state in map(blake, lines)])
        out[start:stop] = np.frombuffer(joined, "<u8").reshape(-1, 8)[:, 0]
    return out


def little_endian(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same values, little-endian and C-contiguous: the form that is hashed and stored."""
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))


def _join_offsets(parts: Iterable[NDArray[np.int64] | None]) -> NDArray[np.int64]:
    out, base = [np.zeros(1, np.int64)], 0
    for offsets in parts:
        if offsets is None:
            raise ValueError("ragged and plain rows can't be joined")
        out.append(offsets[1:] + base)
        base += int(offsets[-1])
    return np.concatenate(out)
