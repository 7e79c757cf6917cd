"""Rows of a part that nobody names: whether they hold anything, and overwriting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import DamagedPart, StoreError
from storage.inventory import PartFiles
from storage.layout import METADATA, ArrayLayout, PartHeader, decode_index, index_bytes
from storage.location import Location
from storage.reader import PartReader
from storage.structure import structure_damage

#: rows [start, stop) of a part
Range = tuple[int, int]
#: bytes that are compared at once
READ_BYTES = 32 << 20


@dataclass(frozen=True)
class Gap:
    """Entries of one array that belong to no named result.

    Attributes:
        fill: what they hold once nothing is left, the array's own fill if None.
    """

    array: ArrayLayout
    start: int
    stop: int
    fill: int | None = None

    @property
    def value(self) -> float | int | bool:
        """What every entry must hold."""
        return self.array.fill if self.fill is None else self.fill


def gaps(location: Location, files: PartFiles, named: Iterable[Range]) -> list[Gap]:
    """What of a part no named result covers, padding included.

    Args:
        named: the rows (frame slots) that catalogue rows name, of any version.

    Raises:
        DamagedPart: the part can't be read.
    """
    wrong = structure_damage(location, files)
    if wrong is not None:  # what its metadata says of where rows lie can't be trusted
        raise DamagedPart(f"part {files.part} of {files.feature} is damaged ({wrong})")
    reader = PartReader(location, files.feature, files.part)
    header = _header(location, files)
    spec, layout, rows = header.spec, header.layout, header.rows
    ranges = _merged(named)
    flags = [(start // spec.block, -(-stop // spec.block)) for start, stop in ranges]
    found = [Gap(layout.valid, *r) for r in _complement(flags, rows["valid"])]
    found += [Gap(layout.digest, *r) for r in _complement(flags, rows["digest"])]
    if not spec.ragged:
        return [Gap(layout.values, *r) for r in _complement(ranges, rows["values"])] + found
    items: list[Range] = []
    with reader.reading():
        for start, stop in ranges:
            bounds = reader.offsets(start, stop)
            items.append((int(bounds[0]), int(bounds[-1])))
    values = [Gap(layout.values, *r) for r in _complement(_merged(items), rows["values"])]
    # a result's last offset is one past its rows; what follows repeats it, as padding does
    slots = [(start, stop + 1) for start, stop in ranges]
    ends = {stop + 1: last for (_, stop), (_, last) in zip(ranges, items, strict=True)}
    offsets = [
        Gap(layout.offsets, start, stop, ends.get(start, 0))
        for start, stop in _complement(slots, rows["offsets"])
    ]
    # the items first: without their offsets nobody could tell which they were
    return values + found + offsets


def filled(reader: PartReader, gap: Gap) -> bool:
    """Whether the gap holds nothing but fill."""
    step = max(1, READ_BYTES // max(1, gap.array.row_bytes))
    with reader.reading():
        source = reader.source(gap.array.name)
        for start in range(gap.start, gap.stop, step):
            found = source.read(start, min(gap.stop, start + step))
            if not _holds(found, gap.value):
                return False
    return True


def wipe(location: Location, files: PartFiles, found: Sequence[Gap]) -> int:
    """Overwrite what the gaps hold; each file is replaced by one of the same length at once.

    Returns:
        How many gaps held anything.
    """
    reader = PartReader(location, files.feature, files.part)
    held = [gap for gap in found if not filled(reader, gap)]
    header = _header(location, files)
    for array in {gap.array.name: gap.array for gap in held}.values():
        mine = [gap for gap in held if gap.array.name == array.name]
        key = f"{files.key}/{array.path}"
        data = bytearray(location.read_bytes(key))
        if array.codec.plain:
            _wipe_plain(data, array, mine)
        else:
            _wipe_encoded(data, array, mine, header.rows[array.name], key)
        location.write_bytes(key, bytes(data))
    return len(held)


def _wipe_plain(data: bytearray, array: ArrayLayout, held: Sequence[Gap]) -> None:
    for gap in held:
        patch = np.full((gap.stop - gap.start, *array.dims), gap.value, array.dtype).tobytes()
        start = gap.start * array.row_bytes
        data[start : start + len(patch)] = patch


def _wipe_encoded(
    data: bytearray, array: ArrayLayout, held: Sequence[Gap], rows: int, key: str
) -> None:
    count = array.chunks(rows)
    tail = index_bytes(count)
    index = decode_index(bytes(data[-tail:]))
    touched = {n for g in held for n in range(g.start // array.chunk, -(-g.stop // array.chunk))}
    for number in sorted(touched):
        offset, length = (int(x) for x in index[number])
        chunk = np.empty((array.chunk, *array.dims), array.dtype)
        array.codec.decode(bytes(data[offset : offset + length]), chunk)
        first = number * array.chunk
        empty = np.zeros(array.chunk, bool)
        for gap in held:
            empty[max(0, gap.start - first) : max(0, gap.stop - first)] = True
        encoded = _emptied(array, chunk, empty, length)
        if encoded is None:
            raise StoreError(f"{key}: chunk {number} can't be emptied in its place")
        data[offset : offset + length] = encoded


def _emptied(
    array: ArrayLayout, chunk: NDArray[Any], empty: NDArray[np.bool_], length: int
) -> bytes | None:
    """The chunk without what ``empty`` marks, encoded in exactly that many bytes.

    Equal lengths keep the indexes that readers hold in memory true.
    """
    for fill in (array.fill, 0):
        chunk[empty] = fill
        for encoded in array.codec.encode_within(chunk, length):
            found = np.empty_like(chunk)
            try:
                array.codec.decode(encoded, found)
            except ValueError:
                continue
            if found.tobytes() == chunk.tobytes():
                return encoded
    return None


def _header(location: Location, files: PartFiles) -> PartHeader:
    return PartHeader.parse(location.read_bytes(f"{files.key}/{METADATA}"), files.key)


def _holds(found: NDArray[Any], value: float | int | bool) -> bool:
    bits = np.dtype(f"u{found.itemsize}")
    wanted = np.array(value, found.dtype).view(bits)
    held = np.ascontiguousarray(found).view(bits)
    same = held == wanted
    if value != value:
        # zeros tell as little, and sometimes pack where NaN doesn't
        same |= held == 0
    return bool(same.all())


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """Sorted, overlapping ones joined, empty ones left out."""
    found: list[Range] = []
    for start, stop in sorted(set(ranges)):
        if start >= stop:
            continue
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def _complement(ranges: Sequence[Range], stop: int) -> Iterator[Range]:
    position = 0
    for start, after in ranges:
        if start > position:
            yield position, start
        position = max(position, after)
    if position < stop:
        yield position, stop
