"""Where the rows of a clip come from and go to while a partition is processed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from features.errors import DamagedInput
from features.spec import Rows
from flows.pipeline import spec_of
from storage import FeatureStore
from storage.errors import DamagedPart
from storage.part import PartWriter
from storage.reader import check_digests, read_digest
from storage.records import Node, Published


class Writers:
    """One open part per feature; closed all at once when the partition is done."""

    def __init__(self, store: FeatureStore, nodes: Sequence[Node]) -> None:
        self._store = store
        self._nodes = {n.feature: n for n in nodes}
        self._open: dict[str, PartWriter] = {}

    def __getitem__(self, feature: str) -> PartWriter:
        if feature not in self._open:
            node = self._nodes[feature]
            description = {
                "extractor": node.extractor,
                "version": node.version,
                "params": node.params,
                "weights": node.weights,
                "tools": node.tools,
                "extractor_key": node.extractor_key,
                "inputs": dict(node.inputs),
            }
            self._open[feature] = self._store.writer(spec_of(node), description)
        return self._open[feature]

    def close(self) -> None:
        """Publish the parts' files; readers see them once the catalogue names them."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for writer in self._open.values():
            writer.discard()


@dataclass(frozen=True)
class PublishedSource:
    """Rows of a published result, compared with their digests: what is made of them, or copied
    from them, is published as sound.

    Raises:
        DamagedInput: they can't be read, or aren't what was published.
    """

    store: FeatureStore
    published: Published

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.published.rows

    def read(self, start: int, stop: int) -> Rows:
        """Rows [start, stop)."""
        found = self.published
        with _trusted(found):
            block = self.store.spec(found).block
            rows = self.store.read_result(found, start, -(-stop // block) * block)
            check_digests(self.store.location, found.feature, found.pieces, start, rows)
        return rows.slice(0, stop - start)

    def digest(self) -> NDArray[np.uint64]:
        """Digests of all rows."""
        with _trusted(self.published):
            return read_digest(self.store.location, self.published.feature, self.published.pieces)


@dataclass(frozen=True)
class PendingSource:
    """Rows that were just written, in a part that is still open."""

    writer: PartWriter
    published: Published
    digests: NDArray[np.uint64]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.published.rows

    def read(self, start: int, stop: int) -> Rows:
        """Rows [start, stop)."""
        rows = self.writer.read_pieces(self.published.pieces, start, stop)
        return _place(rows, self.published, start)

    def digest(self) -> NDArray[np.uint64]:
        """Digests of all rows."""
        return self.digests


@contextmanager
def _trusted(published: Published) -> Iterator[None]:
    """A damaged part is this clip's failure, which is over once the part is repaired."""
    try:
        yield
    except DamagedPart as error:
        what = str(error).partition(":")[0]
        raise DamagedInput(
            f"{published.clip}: its stored {published.feature} is damaged ({what}), and nothing is "
            "made of it; affectstore verify tells more, affectstore repair makes it stale, and the "
            "next extract computes it again"
        ) from error


def _place(rows: Rows, published: Published, start: int) -> Rows:
    """Rows with their place on the clock."""
    step = published.step
    t0 = published.t0 + start * step if step is not None else published.t0
    return Rows(rows.values, rows.valid, t0, step, rows.offsets, rows.block)
