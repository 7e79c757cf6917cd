"""What the engine asks while it runs a clip: is it there, what may be reused, where does it go."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

from features.engine import Source, Step
from features.errors import FeatureError, FrameCountMismatch, MediaError, MediaMissing
from features.registry import feature_specs
from flows.before import Before
from flows.clip_parts import PendingSource, PublishedSource, Writers
from flows.original import Original
from flows.partition import ClipWork, Partition
from flows.reasons import DAMAGED, NEW_CLIP, NEW_FEATURE, reason
from storage import FeatureStore
from storage.clock import after
from storage.keys import fingerprint, placed
from storage.part import PartWriter, StoredClip
from storage.records import Failure, Node, Published
from storage.repair import PREFIX as DAMAGED_PREFIX

#: how much of a failing tool's output a quarantine row keeps
LOG_CHARACTERS = 4000

#: by feature and fingerprint: what was just computed for clips of one medium
Twins: TypeAlias = MutableMapping[tuple[str, str], PendingSource]


@dataclass(frozen=True)
class Reason:
    """How many clips were computed for one reason, and how many of their rows."""

    clips: int
    rows: int
    computed: int

    def __add__(self, other: Reason) -> Reason:
        return Reason(
            self.clips + other.clips, self.rows + other.rows, self.computed + other.computed
        )


class ClipHost:
    """The ``Host`` of one clip of a partition (see features/engine.py).

    Args:
        twins: shared with the hosts of the medium's other names, if it has any.

    Attributes:
        adopted: features whose rows in ``published`` are another name's of the same medium.
        original: the clip's file once it was opened. What was read of it counts only if it is
            still the same file afterwards.
    """

    def __init__(
        self,
        store: FeatureStore,
        partition: Partition,
        work: ClipWork,
        writers: Writers,
        twins: Twins | None = None,
    ) -> None:
        self._store, self._partition, self._work, self._writers = store, partition, work, writers
        self._twins: Twins = {} if twins is None else twins
        self._nodes = {n.feature: n for n in partition.nodes}
        self._attrs: dict[str, str] = json.loads(work.attrs) if work.attrs else {}
        self._sources: dict[str, Source] = {
            f: PublishedSource(store, p) for f, p in work.available.items()
        }
        self._results = dict(work.available)
        self._before = Before(store, work, self._nodes, self._sources, self._results)
        self._open: dict[str, PartWriter] = {}
        self.original: Original | None = None
        self.published: list[Published] = []
        self.failures: list[Failure] = []
        self.reasons: list[tuple[str, str, Reason]] = []
        self.cut_off = 0
        self.adopted: set[str] = set()
        self.quarantined = 0

    def has(self, feature: str) -> bool:
        """The feature is published, or was computed in this partition."""
        return feature in self._sources

    def source(self, feature: str) -> Source:
        """Its rows."""
        return self._sources[feature]

    def begin(self, step: Step) -> bool:
        """Decide, now that the inputs' content is known, whether anything is to be computed."""
        keys = {f: self._fingerprint(f) for f in step.features}
        if all(self._known(f, key) for f, key in keys.items()):
            for feature, key in keys.items():
                self._take_known(feature, key)
            return False
        if not self._partition.retry and self._work.quarantined & {*keys.values()}:
            self.quarantined += 1
            return False
        step.reuse = self._before.reuse(step)
        return True

    def open(self, step: Step) -> None:
        """Open the features' writers for the clip's rows."""
        for feature in step.features:
            writer = self._writers[feature]
            writer.begin()
            self._open[feature] = writer
            step.sinks[feature] = writer

    def begin_chained(self, step: Step) -> None:
        """As ``begin``, for a step whose fingerprints can't be known before it is done."""
        step.reuse = self._before.reuse(step)
        self.open(step)

    def waits(self, step: Step) -> bool:
        """An earlier result differs in its inputs' content at most, and no row can be reused."""
        nodes = [self._nodes[feature] for feature in step.features]
        return self._before.reuse(step) is None and all(
            any(
                r.extractor_key == node.extractor_key
                and (not node.reads_media or r.media_key == self._work.media_key)
                for r in self._before.of(node.feature)
            )
            for node in nodes
        )

    def done(self, step: Step) -> None:
        """All rows of the step were appended: make its catalogue rows."""
        # a file that went away was read while it was there
        with suppress(MediaMissing):
            self._check_original(step)
        for feature in step.features:
            # before the first is finished: what is only appended can be voided
            self._check_rows(feature, self._open[feature].rows)
        begins = {feature: self._begins(feature) for feature in step.features}
        for feature in step.features:
            writer = self._open.pop(feature)
            key = self._fingerprint(feature)
            if self._known(feature, key):
                # only a chained step can come so far: its inputs turned out as they were
                writer.abort()
                self._take_known(feature, key)
                continue
            stored = writer.finish()
            node = self._nodes[feature]
            row = replace(
                stored.published(
                    self._work.corpus,
                    self._work.clip,
                    feature,
                    fingerprint=key,
                    extractor_key=node.extractor_key,
                    run=self._partition.run,
                    time=after(r.time for r in self._before.of(feature)),
                ),
                media_key=self._work.media_key if node.reads_media else None,
                inputs={slot: (f, self._results[f].content) for slot, f in node.inputs},
                t0=self._t0(feature, writer, stored, begins[feature]),
                computed=step.computed,
                reused=step.reused,
                seconds=step.seconds / len(step.features),
                device=self._partition.device,
            )
            self.published.append(row)
            self.reasons.append((feature, self._why(node), Reason(1, row.rows, row.computed)))
            source = PendingSource(writer, row, stored.digest)
            self._twins[feature, key] = source
            self._take(feature, source, row)

    def fail(self, step: Step, error: FeatureError) -> None:
        """Void what the step appended and note why."""
        if isinstance(error, MediaError):
            try:
                self._check_original(step)
            except MediaError as cause:
                error = cause
        for feature in step.features:
            writer = self._open.pop(feature, None)
            if writer is not None:
                writer.abort()
            key = self._fingerprint(feature)
            self.failures.append(
                Failure(
                    corpus=self._work.corpus,
                    clip=self._work.clip,
                    feature=feature,
                    fingerprint=key,
                    code=error.code,
                    message=str(error),
                    log=error.log[-LOG_CHARACTERS:],
                    attempts=self._work.attempts.get(key, 0) + 1,
                    run=self._partition.run,
                    time=datetime.now(UTC),
                )
            )

    def void(self, step: Step) -> None:
        """What the step reads failed: void what it appended."""
        for feature in step.features:
            self._open.pop(feature).abort()

    def abort(self) -> None:
        """The run stops: void what is half written."""
        for writer in self._open.values():
            writer.abort()
        self._open.clear()

    def _check_original(self, step: Step) -> None:
        """Raise what has happened to the file since it was opened, if the step reads it."""
        if self.original is not None and step.declaration.reads != "none":
            self.original.check()

    def _known(self, feature: str, key: str) -> bool:
        """The result is published already, or was just computed for the medium's other name."""
        return self._earlier(feature, key) is not None or (feature, key) in self._twins

    def _take_known(self, feature: str, key: str) -> None:
        own = self._earlier(feature, key)
        if own is not None:
            self._take(feature, PublishedSource(self._store, own), own)
            self.cut_off += 1
            return
        twin = self._twins[feature, key]
        row = replace(
            twin.published,
            corpus=self._work.corpus,
            clip=self._work.clip,
            computed=0,
            reused=twin.rows,
            seconds=0.0,
            time=after(r.time for r in self._before.of(feature)),
        )
        self.published.append(row)
        self.adopted.add(feature)
        why = self._why(self._nodes[feature])
        self.reasons.append((feature, why, Reason(1, row.rows, row.computed)))
        self._take(feature, replace(twin, published=row), row)

    def _take(self, feature: str, source: Source, published: Published) -> None:
        self._sources[feature] = source
        self._results[feature] = published

    def _fingerprint(self, feature: str) -> str:
        node = self._nodes[feature]
        read = {f: placed(self._results[f]) for _, f in node.inputs if f in self._results}
        return fingerprint(node, self._work.media_key, self._attrs, read)

    def _begins(self, feature: str) -> float | None:
        """Container seconds of a frame feature's first row, as the timeline or its inputs say."""
        specs = feature_specs()
        if specs[feature].rate != "frame" or feature == "timeline":
            return None
        if "timeline" in self._sources and self._sources["timeline"].rows:
            return float(self._sources["timeline"].read(0, 1).values[0])
        read = [f for _, f in self._nodes[feature].inputs if f in specs]
        framed = [f for f in read if specs[f].rate == "frame"]
        return self._results[framed[0]].t0 if framed else None

    def _t0(
        self, feature: str, writer: PartWriter, stored: StoredClip, begins: float | None
    ) -> float:
        """Container seconds of the first row."""
        if feature == "timeline" and stored.rows:
            return float(writer.read_pieces(stored.pieces, 0, 1).values[0])
        return stored.t0 if begins is None or not stored.rows else begins

    def _why(self, node: Node) -> str:
        """Why the feature was computed, now that its inputs are known."""
        if DAMAGED_PREFIX + self._fingerprint(node.feature) in self._work.attempts:
            return DAMAGED
        # as a plan chooses: a result of the same extractor tells what else changed
        before = max(
            self._before.of(node.feature),
            key=lambda r: (
                r.extractor_key == node.extractor_key,
                {slot: f for slot, (f, _) in r.inputs.items()} == dict(node.inputs),
                r.time,
            ),
            default=None,
        )
        before_run = {r.feature for r in self._work.earlier if r.run != self._partition.run}
        known = before_run & feature_specs().keys()
        read = before.inputs if before else {}
        return reason(
            node,
            before.extractor_key if before else None,
            media_changed=before is not None
            and node.reads_media
            and before.media_key != self._work.media_key,
            cut_changed=before is not None and before.media_key in self._work.earlier_cuts,
            fresh="" if before else NEW_FEATURE if known else NEW_CLIP,
            earlier=self._partition.earlier_nodes,
            read={slot: f for slot, (f, _) in read.items()},
            changed={f for f, content in read.values() if content != self._content(f)},
        )

    def _content(self, feature: str) -> str | None:
        return self._results[feature].content if feature in self._results else None

    def _earlier(self, feature: str, key: str) -> Published | None:
        same = [r for r in self._work.earlier if r.feature == feature and r.fingerprint == key]
        return max(same, key=lambda r: r.time, default=None)

    def _check_rows(self, feature: str, rows: int) -> None:
        """A frame-rate feature has one row per entry of the timeline, always."""
        if feature_specs()[feature].rate != "frame" or "timeline" not in self._sources:
            return
        frames = self._sources["timeline"].rows
        if frames != rows:
            raise FrameCountMismatch(
                f"{self._work.clip}: {feature} has {rows} rows, the timeline {frames} frames; "
                "decode the file again with another ffmpeg (AFFECTSTORE_FFMPEG) or re-encode it"
            )
