"""The clips that an export writes, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import RequestError
from features.spec import Rows
from storage import FeatureStore
from storage.groups import bounds_of, columns_of, split
from storage.records import Published


class CannotExport(RequestError):
    """The feature doesn't fit the asked format."""

    code = "cannot_export"


@dataclass(frozen=True)
class Clip:
    """One clip's rows; ``info``: see ``part_info``; times: seconds of the rows, if known."""

    corpus: str
    clip: str
    rows: Rows
    info: dict[str, Any]
    times: np.ndarray[Any, np.dtype[np.float64]] | None

    @property
    def name(self) -> str:
        """Corpus and clip, for messages."""
        return f"{self.corpus}/{self.clip}"


class Clips:
    """The chosen results, read one after the other while they are written."""

    def __init__(self, store: FeatureStore, results: Sequence[Published], feature: str) -> None:
        self._store, self._results, self._feature = store, results, feature
        names = [r.clip for r in results] if len(results) == 1 else None
        self._timelines: dict[tuple[str, str], list[Published]] = {}
        if feature != "timeline" and store.part_info(results[0])["rate"] == "frame":
            for timeline in store.published(clips=names, features=["timeline"]):
                key = (timeline.corpus, timeline.clip)
                self._timelines.setdefault(key, []).append(timeline)

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Clip]:
        return map(self._read, self._results)

    def paths(self, folder: Path, suffix: str) -> list[Path]:
        """One below the folder per clip; below its corpus too, where there are several."""
        several = len({r.corpus for r in self._results}) > 1
        found = [
            folder / (r.corpus if several else "") / f"{r.clip}{suffix}" for r in self._results
        ]
        if len(set(found)) < len(found):
            twice = next(path for path in found if found.count(path) > 1)
            raise CannotExport(f"two clips would be {twice}; name one corpus with --corpus")
        return found

    def _read(self, result: Published) -> Clip:
        _, group = split(self._feature)
        info, rows = self._store.part_info(result), self._store.read_result(result)
        if group is not None:
            start, stop = bounds_of(self._store.spec(result), group)
            info["columns"] = info["columns"][start:stop]
            rows = columns_of(rows, (start, stop))
        times = self._times(result)
        if times is None and rows.step is not None:
            times = (rows.t0 + rows.step * np.arange(rows.rows)).astype(np.float64)
        return Clip(result.corpus, result.clip, rows, info, times)

    def _times(self, result: Published) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        """Of a frame feature's rows, by the newest timeline of the same medium and length."""
        fitting = [
            t
            for t in self._timelines.get((result.corpus, result.clip), ())
            if t.rows == result.rows and result.media_key in (None, t.media_key)
        ]
        if not fitting:
            return None
        return self._store.read_result(fitting[-1]).values.astype(np.float64)
