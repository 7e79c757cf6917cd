"""A part while it is being written: staged files that nobody else sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.spec import Rows
from storage.layout import METADATA, PartLayout
from storage.shard import Mark, ShardWriter

_FLAG_AND_DIGEST_BYTES = 9
_OFFSET_BYTES = 8


@dataclass(frozen=True)
class PartMark:
    """A position to which a staged part can be taken back."""

    rows: int
    clips: int
    shards: Mapping[str, Mark]


class StagedPart:
    """One part's arrays, open for appending rows of one clip after the other.

    Args:
        folder: the part's staged folder; it is made.
        part: the part's id.
    """

    def __init__(self, folder: Path, part: str, layout: PartLayout) -> None:
        folder.mkdir(parents=True)
        self.folder, self.part, self.layout = folder, part, layout
        self.clips = 0
        #: rows (frame slots) taken, padding included
        self.rows = 0
        self._shards = {array.name: ShardWriter(folder, array) for array in layout.arrays}

    @property
    def size(self) -> int:
        """Bytes so far."""
        return sum(shard.size for shard in self._shards.values())

    def fitting(self, rows: Rows, start: int, room: int) -> int:
        """How many of the rows from ``start`` on fit into ``room`` bytes, on a border to cut."""
        spec, left = self.layout.spec, rows.rows - start
        if rows.offsets is not None:
            bounds = rows.offsets[start:] - rows.offsets[start]
            slots = np.arange(len(bounds)) * (_FLAG_AND_DIGEST_BYTES + _OFFSET_BYTES)
            sizes = bounds * spec.row_bytes + slots
            return max(0, int(np.searchsorted(sizes, room, side="right")) - 1)
        align = self.layout.align
        per_row = spec.row_bytes + _FLAG_AND_DIGEST_BYTES / spec.block
        fits = int(room / max(per_row, 1e-9))
        return left if fits >= left else fits - fits % align

    def start_piece(self) -> None:
        """Begin a run of rows: a ragged one notes where its first item lies."""
        if self.layout.spec.ragged:
            offsets, values = self._shards["offsets"], self._shards["values"]
            offsets.append(np.array([values.rows], np.int64))

    def append(self, rows: Rows) -> None:
        """Add rows to the piece that was started; their digests follow."""
        if rows.offsets is not None:
            base = self._shards["values"].rows
            self._shards["offsets"].append(rows.offsets[1:] + base)
        self._shards["values"].append(rows.values)
        self._shards["valid"].append(rows.valid)
        self.rows += rows.rows

    def append_digest(self, digest: NDArray[np.uint64]) -> None:
        """Add the digests of the rows just appended."""
        self._shards["digest"].append(digest)

    def stop_piece(self) -> None:
        """Pad up to where the next clip may start."""
        align = self.layout.align
        valid, digest = self._shards["valid"], self._shards["digest"]
        if self.layout.spec.ragged:
            # one slot more than rows: offsets[row_stop] is the end of the last row's items
            slots = -(-(self.rows + 1) // align) * align
            offsets = self._shards["offsets"]
            offsets.pad(slots - offsets.rows, self._shards["values"].rows)
            entries = slots
        else:
            slots = -(-self.rows // align) * align
            self._shards["values"].pad(slots - self.rows)
            entries = slots // self.layout.spec.block
        valid.pad(entries - valid.rows)
        digest.pad(entries - digest.rows)
        self.rows = slots

    def mark(self) -> PartMark:
        """The present position, for ``rollback``."""
        shards = {name: shard.mark() for name, shard in self._shards.items()}
        return PartMark(self.rows, self.clips, shards)

    def rollback(self, mark: PartMark) -> None:
        """Forget everything since ``mark``."""
        self.rows, self.clips = mark.rows, mark.clips
        for name, position in mark.shards.items():
            self._shards[name].rollback(position)

    def read(self, row_start: int, row_stop: int) -> Rows:
        """Rows ``[row_start, row_stop)``, also after ``seal``."""
        block = self.layout.spec.block
        valid = self._shards["valid"].read(row_start // block, -(-row_stop // block))
        values = self._shards["values"]
        if not self.layout.spec.ragged:
            return Rows(values.read(row_start, row_stop), valid, block=block)
        bounds = self._shards["offsets"].read(row_start, row_stop + 1)
        first, last = int(bounds[0]), int(bounds[-1])
        return Rows(values.read(first, last), valid, offsets=bounds - first)

    def seal(self, description: Mapping[str, object]) -> None:
        """Write the indexes and the metadata; the part is complete, but not yet published."""
        rows = {name: shard.rows for name, shard in self._shards.items()}
        lengths = {name: shard.seal() for name, shard in self._shards.items()}
        document = self.layout.group_metadata(
            description=description, rows=rows, file_bytes=lengths, clips=self.clips
        )
        (self.folder / METADATA).write_bytes(document)

    def close(self) -> None:
        """Let go of the files without completing them."""
        for shard in self._shards.values():
            shard.close()
