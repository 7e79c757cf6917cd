"""What was made of a clip before, and which of it rows may be copied from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.engine import Reuse, Source, Step
from features.registry import feature_specs
from flows.clip_parts import PublishedSource
from flows.partition import ClipWork
from storage import FeatureStore
from storage.errors import DamagedPart
from storage.reader import read_digest
from storage.records import Node, Published

#: earlier results, newest first, among which the one with most rows in common is looked for
MOST_COMPARED = 4


@dataclass(frozen=True)
class Before:
    """The earlier results of one clip.

    Attributes:
        nodes: feature -> as it is made now.
        sources, results: feature -> what is there of it now; both grow while the clip is run.
    """

    store: FeatureStore
    work: ClipWork
    nodes: Mapping[str, Node]
    sources: Mapping[str, Source]
    results: Mapping[str, Published]

    def of(self, feature: str) -> list[Published]:
        """All of a feature, whatever made them."""
        return [r for r in self.work.earlier if r.feature == feature]

    def reuse(self, step: Step) -> Reuse | None:
        """Of the results that differ in their inputs' rows only, the one with most rows in common.

        The newest one, where some inputs are still being made.
        """
        declared = step.declaration
        if not declared.frame_local or not step.inputs or declared.attrs or declared.assets:
            return None
        node = self.nodes[step.features[0]]
        made_so = [
            r
            for r in self.work.earlier
            if r.extractor_key == node.extractor_key
            and (r.media_key == self.work.media_key or not node.reads_media)
        ]
        firsts = [r for r in made_so if r.feature == step.features[0]]
        now = None
        if firsts and all(feature in self.sources for feature in step.inputs.values()):
            now = {slot: self.sources[f].digest() for slot, f in step.inputs.items()}
        found: list[tuple[int, Reuse]] = []
        for old in sorted(firsts, key=lambda r: r.time, reverse=True):
            before = self._digests(step, old)
            outputs = {r.feature: r for r in made_so if r.inputs == old.inputs} | {old.feature: old}
            if before is not None and outputs.keys() >= {*step.features}:
                previous: Mapping[str, Source] = {
                    f: PublishedSource(self.store, outputs[f]) for f in step.features
                }
                reuse = Reuse(before, previous)
                if now is None:
                    return reuse
                changed = int(reuse.changed(0, now).sum())
                found.append((changed, replace(reuse, unchanged=not changed)))
                if not changed or len(found) == MOST_COMPARED:
                    break
        return min(found, key=lambda one: one[0])[1] if found else None

    def _digests(self, step: Step, old: Published) -> dict[str, NDArray[np.uint64]] | None:
        """Slot -> the row digests of what ``old`` read; None if they can't be known any more."""
        found: dict[str, NDArray[np.uint64]] = {}
        for slot, feature in step.inputs.items():
            before = old.inputs.get(slot)
            if before is None:
                return None
            reads = [r for r in self.of(before[0]) if r.content == before[1]]
            if not reads or reads[0].rows != old.rows:
                return None
            read = reads[0]
            if feature in self.sources and self.sources[feature].rows != old.rows:
                return None
            timed = feature_specs()[old.feature].rate != "frame"
            # equal rows may have been published with several clocks: which was read isn't told
            if timed and not all(self._same_clock(feature, r) for r in reads):
                return None
            try:
                found[slot] = read_digest(self.store.location, read.feature, read.pieces)
            except DamagedPart:
                # nothing can be copied then: all rows are computed
                return None
        return found

    def _same_clock(self, feature: str, read: Published) -> bool:
        """What is read now lies where it lay: rows that are copied keep their time."""
        now = self.results.get(feature)
        return now is not None and (now.t0, now.step) == (read.t0, read.step)
