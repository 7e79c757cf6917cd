"""Runs a clip's extractors on as few decodes as possible; knows nothing of stores or flows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.errors import FeatureError, MediaError, UnexpectedFailure
from features.extractor import Batch, Declaration, Extractor
from features.media.media import Media
from features.media.video import FrameBatch
from features.prefetch import prefetch
from features.spec import FeatureSpec, Rows

#: decoded pixels of a batch, in bytes, and frames at most; three batches are held at once: one at
#: work, one waiting, one being read
BATCH_BYTES = 64 * 2**20
FRAMES_PER_BATCH = 32
#: rows per call for frame extractors that decode nothing
ROWS_PER_BATCH = 256


class Source(Protocol):
    """Rows of one feature of the clip, wherever they lie."""

    @property
    def rows(self) -> int: ...

    def read(self, start: int, stop: int) -> Rows: ...


class Sink(Protocol):
    """Where the rows of one feature go, in order."""

    def append(self, rows: Rows) -> None: ...


@dataclass(frozen=True)
class Reuse:
    """Rows that need not be computed: ``changed`` is bool ``(rows,)``, the rest is copied."""

    changed: NDArray[np.bool_]
    previous: Mapping[str, Source]


@dataclass
class Step:
    """One extractor at work on one clip.

    Attributes:
        features: the outputs that are wanted.
        inputs: slot -> feature.
        computed, reused: rows so far; seconds: time spent so far, its share of decoding included.
    """

    declaration: Declaration
    extractor: Extractor
    inputs: Mapping[str, str]
    features: tuple[str, ...]
    computed: int = 0
    reused: int = 0
    seconds: float = 0.0
    sinks: dict[str, Sink] = field(default_factory=dict)
    reuse: Reuse | None = None

    @property
    def reads_video(self) -> bool:
        """It needs the decoded frames, or their times."""
        return self.declaration.reads == "video"

    def spec(self, feature: str) -> FeatureSpec:
        """What one of its outputs is."""
        return next(s for s in self.declaration.outputs if s.name == feature)


class Host(Protocol):
    """Who asked: decides what is computed, and keeps what was."""

    def begin(self, step: Step) -> bool:
        """The inputs are there. True: compute (sinks and reuse are set); False: it exists."""

    def source(self, feature: str) -> Source:
        """Rows of a feature that is published or done."""

    def has(self, feature: str) -> bool:
        """The feature is published or done."""

    def done(self, step: Step) -> None:
        """All rows were appended."""

    def fail(self, step: Step, error: FeatureError) -> None:
        """The step can't be done; what was appended is void."""


def run_clip(
    media: Media,
    steps: Sequence[Step],
    host: Host,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run the steps (in topological order) of one clip, as few video decodes as they allow.

    Video extractors whose inputs are there share one pass over the frames; what reads no video
    runs between the passes. A failing step takes with it only what reads from it.
    ``check`` is called between batches and may raise to stop.
    """
    waiting = list(steps)
    while waiting:
        ready = [s for s in waiting if all(host.has(f) for f in s.inputs.values())]
        if not ready:
            return
        still = [s for s in ready if not s.reads_video] or ready
        for step in still:
            waiting.remove(step)
        todo = [s for s in still if _begin(s, host)]
        if still[0].reads_video:
            _video_pass(media, todo, host, check)
        else:
            for step in todo:
                check()
                _run_alone(media, step, host)


def _begin(step: Step, host: Host) -> bool:
    try:
        return host.begin(step)
    except FeatureError as error:
        host.fail(step, error)
        return False


def _run_alone(media: Media, step: Step, host: Host) -> None:
    """A step that needs no video: once for the clip, or in batches of rows."""
    started = time.perf_counter()
    try:
        inputs = {slot: host.source(feature) for slot, feature in step.inputs.items()}
        if step.declaration.scope == "clip":
            whole = {slot: source.read(0, source.rows) for slot, source in inputs.items()}
            _append(step, _extract(step, Batch(media, inputs=whole)))
        else:
            rows = next(iter(inputs.values())).rows
            for start in range(0, rows, ROWS_PER_BATCH):
                stop = min(start + ROWS_PER_BATCH, rows)
                nothing = FrameBatch(start, np.zeros(stop - start), None)
                _frames_step(step, media, inputs, nothing)
    except FeatureError as error:
        host.fail(step, error)
        return
    step.seconds = time.perf_counter() - started
    _done(step, host)


def _video_pass(media: Media, steps: list[Step], host: Host, check: Callable[[], None]) -> None:
    """One decode; every step gets every batch."""
    copied = [s for s in steps if s.reuse is not None and not s.reuse.changed.any()]
    for step in copied:
        _copy_all(step, host)
    steps = [s for s in steps if s not in copied]
    inputs = {
        id(s): {slot: host.source(feature) for slot, feature in s.inputs.items()} for s in steps
    }
    clock = time.perf_counter()
    try:
        pixels = any(s.declaration.pixels for s in steps)
        frames = media.video(_frames_per_batch(media), pixels) if steps else iter(())
        with closing(prefetch(frames)) as batches:
            for batch in batches:
                check()
                decoding = time.perf_counter() - clock
                for step in list(steps):
                    began = time.perf_counter()
                    try:
                        _frames_step(step, media, inputs[id(step)], batch)
                    except FeatureError as error:
                        steps.remove(step)
                        host.fail(step, error)
                    step.seconds += time.perf_counter() - began + decoding / max(1, len(steps))
                if not steps:
                    break
                clock = time.perf_counter()
    except MediaError as error:
        for step in steps:
            host.fail(step, error)
        return
    for step in steps:
        _done(step, host)


def _done(step: Step, host: Host) -> None:
    try:
        host.done(step)
    except FeatureError as error:
        host.fail(step, error)


def _frames_step(step: Step, media: Media, inputs: Mapping[str, Source], batch: FrameBatch) -> None:
    """The batch's rows of one step: those that changed are computed, the others copied."""
    start, stop = batch.start, batch.start + len(batch.times)
    times, frames = batch.times, batch.frames
    rows = {slot: source.read(start, stop) for slot, source in inputs.items()}
    if step.reuse is None:
        _append(step, _extract(step, Batch(media, start, times, frames, rows)))
        return
    changed = np.flatnonzero(step.reuse.changed[start:stop])
    fresh: Mapping[str, Rows] = {}
    if len(changed):
        some = Batch(
            media,
            start,
            times[changed],
            None if frames is None else frames[changed],
            {slot: _take(r, changed) for slot, r in rows.items()},
        )
        fresh = _extract(step, some)
    for feature in step.features:
        old = step.reuse.previous[feature].read(start, stop)
        step.sinks[feature].append(_merge(old, changed, fresh[feature]) if fresh else old)
    step.computed += len(changed)
    step.reused += stop - start - len(changed)


def _extract(step: Step, batch: Batch) -> Mapping[str, Rows]:
    """Call the extractor; anything but our own errors is reported as its defect."""
    try:
        made = step.extractor.extract(batch)
    except (FeatureError, MemoryError):
        raise
    except Exception as error:
        raise UnexpectedFailure(
            f"{step.declaration.name} {step.declaration.version} failed on {batch.media.name}: "
            f"{type(error).__name__}: {error}; the log has the trace, please report it",
            log=_trace(error),
        ) from error
    if isinstance(made, Rows):
        return {step.declaration.outputs[0].name: made}
    return made


def _append(step: Step, made: Mapping[str, Rows]) -> None:
    for feature in step.features:
        step.sinks[feature].append(made[feature])
    step.computed += made[step.features[0]].rows


def _copy_all(step: Step, host: Host) -> None:
    began = time.perf_counter()
    previous = step.reuse.previous if step.reuse else {}
    for feature, source in previous.items():
        for start in range(0, source.rows, ROWS_PER_BATCH):
            step.sinks[feature].append(source.read(start, min(start + ROWS_PER_BATCH, source.rows)))
        step.reused = source.rows
    step.seconds = time.perf_counter() - began
    _done(step, host)


def _take(rows: Rows, index: NDArray[np.intp]) -> Rows:
    """Some rows of a plain or ragged feature."""
    if rows.offsets is None:
        return Rows(rows.values[index], rows.valid[index], rows.t0, rows.step)
    return Rows.concat([rows.slice(int(i), int(i) + 1) for i in index])


def _merge(old: Rows, index: NDArray[np.intp], fresh: Rows) -> Rows:
    """``old`` with the rows at ``index`` replaced."""
    if old.offsets is not None:
        pieces = [old.slice(i, i + 1) for i in range(old.rows)]
        for k, i in enumerate(index):
            pieces[i] = fresh.slice(k, k + 1)
        return Rows.concat(pieces)
    values, valid = old.values.copy(), old.valid.copy()
    values[index], valid[index] = fresh.values, fresh.valid
    return Rows(values, valid, old.t0, old.step)


def _frames_per_batch(media: Media) -> int:
    video = media.probe.video
    if video is None:
        return FRAMES_PER_BATCH
    return max(1, min(FRAMES_PER_BATCH, BATCH_BYTES // (3 * video.width * video.height)))


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))[-4000:]
