"""One extractor at work on one clip: what it reads, where its rows go, what may be copied."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.errors import FeatureError, OutOfMemory, UnexpectedFailure
from features.extractor import Batch, Declaration, Extractor
from features.media.media import Media
from features.media.video import FrameBatch
from features.spec import FeatureSpec, Rows
from features.stopping import Stopped


class Source(Protocol):
    """Rows of one feature of the clip, wherever they lie."""

    @property
    def rows(self) -> int: ...

    def read(self, start: int, stop: int) -> Rows: ...

    def digest(self) -> NDArray[np.uint64]:
        """Digests of all rows; their values aren't read."""


class Sink(Protocol):
    """Where the rows of one feature go, in order."""

    def append(self, rows: Rows) -> None: ...


@dataclass(frozen=True)
class Reuse:
    """An earlier result, some rows of which need not be computed.

    Attributes:
        before: slot -> uint64 ``(rows,)``, the digests of the input that the result was made of.
        previous: output -> the result's rows.
        unchanged: no input differs in any row; False where inputs are still being made.
    """

    before: Mapping[str, NDArray[np.uint64]]
    previous: Mapping[str, Source]
    unchanged: bool = False

    def changed(self, start: int, now: Mapping[str, NDArray[np.uint64]]) -> NDArray[np.bool_]:
        """Which of the rows from ``start`` on have other inputs now, bool ``(n,)``.

        Args:
            now: slot -> the rows' digests.
        """
        flags = [
            digests != self.before[slot][start : start + len(digests)]
            if start + len(digests) <= len(self.before[slot])
            else np.ones(len(digests), bool)
            for slot, digests in now.items()
        ]
        differs: NDArray[np.bool_] = np.logical_or.reduce(flags)
        return differs


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
        """It needs the decoded frames, or their times, one batch after the other."""
        return self.declaration.in_video_pass

    def spec(self, feature: str) -> FeatureSpec:
        """What one of its outputs is."""
        return next(s for s in self.declaration.outputs if s.name == feature)


class Host(Protocol):
    """Who asked: decides what is computed, and keeps what was."""

    def begin(self, step: Step) -> bool:
        """The inputs are there. True: compute (reuse is set); False: it exists."""

    def open(self, step: Step) -> None:
        """Rows come next: set sinks. A feature takes the rows of one clip at a time."""

    def begin_chained(self, step: Step) -> None:
        """Some inputs are made in the same pass: set sinks, and reuse by what is known so far."""

    def waits(self, step: Step) -> bool:
        """What it would make may exist already, which its whole inputs alone will tell."""

    def source(self, feature: str) -> Source:
        """Rows of a feature that is published or done."""

    def has(self, feature: str) -> bool:
        """The feature is published or done."""

    def done(self, step: Step) -> None:
        """All rows were appended."""

    def fail(self, step: Step, error: FeatureError) -> None:
        """The step can't be done; what was appended is void."""

    def void(self, step: Step) -> None:
        """What the step reads failed: what was appended is void, and nothing is said of it."""


def frames_step(
    step: Step, media: Media, inputs: Mapping[str, Rows], batch: FrameBatch
) -> Mapping[str, Rows]:
    """The batch's rows of one step: those that changed are computed, the others copied.

    Returns:
        Output -> the rows that were appended.
    """
    start, stop = batch.start, batch.start + len(batch.times)
    times, frames = batch.times, batch.frames
    changed = np.arange(stop - start)
    if step.reuse is not None:
        digests = {slot: rows.digest for slot, rows in inputs.items()}
        changed = np.flatnonzero(step.reuse.changed(start, digests))
    if step.reuse is None or len(changed) == stop - start:
        rows = extract(step, Batch(media, start, times, frames, inputs))
        if start == 0 and step.reads_video and len(times):
            # where a clip begins doesn't depend on whether its extractor says so
            rows = {name: replace(found, t0=float(times[0])) for name, found in rows.items()}
        return append(step, rows)
    fresh: Mapping[str, Rows] = {}
    if len(changed):
        some = Batch(
            media,
            start,
            times[changed],
            None if frames is None else frames[changed],
            {slot: r.take(changed) for slot, r in inputs.items()},
            picked=start + changed,
        )
        fresh = extract(step, some)
    made = {}
    for feature in step.features:
        old = step.reuse.previous[feature].read(start, stop)
        made[feature] = merged(old, changed, fresh[feature]) if fresh else old
        step.sinks[feature].append(made[feature])
    step.computed += len(changed)
    step.reused += stop - start - len(changed)
    return made


def extract(step: Step, batch: Batch) -> Mapping[str, Rows]:
    """Call the extractor; anything but our own errors is reported as its defect."""
    try:
        with enough_memory(step, batch.media.name):
            made = step.extractor.extract(replace(batch, wanted=step.features))
    except (FeatureError, Stopped):
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


@contextmanager
def enough_memory(step: Step, clip: str) -> Iterator[None]:
    """What doesn't fit into memory is this step's failure on this clip, not the whole run's.

    Raises:
        OutOfMemory: instead of MemoryError, and of torch's own for a GPU.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if _of_gpu(error):
            raise OutOfMemory(
                f"{step.declaration.name} ran out of the GPU's memory on {clip} "
                f"({str(error).splitlines()[0]}); let no other program use that card, "
                "or compute on the CPU with --device cpu",
                log=_trace(error),
            ) from error
        if not isinstance(error, MemoryError):
            raise
        raise OutOfMemory(
            f"{step.declaration.name} ran out of memory on {clip} ({error}); let fewer workers "
            "run side by side, or look at what is unusual about the clip",
            log=_trace(error),
        ) from error


def _of_gpu(error: Exception) -> bool:
    """It is torch's for a full card; who never imported torch can't have met it."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, torch.OutOfMemoryError):
        return False
    # what is held in reserve must not keep the next clip from its share
    torch.cuda.empty_cache()
    return True


def append(step: Step, made: Mapping[str, Rows]) -> Mapping[str, Rows]:
    for feature in step.features:
        step.sinks[feature].append(made[feature])
    step.computed += made[step.features[0]].rows
    return made


def finish(step: Step, host: Host) -> None:
    """Hand over a step that is done."""
    try:
        host.done(step)
    except FeatureError as error:
        host.fail(step, error)


def merged(old: Rows, index: NDArray[np.intp], fresh: Rows) -> Rows:
    """``old`` with the rows at ``index`` replaced."""
    if old.offsets is not None:
        pieces = [old.slice(i, i + 1) for i in range(old.rows)]
        for k, i in enumerate(index):
            pieces[i] = fresh.slice(k, k + 1)
        return Rows.concat(pieces)
    values, valid = old.values.copy(), old.valid.copy()
    values[index], valid[index] = fresh.values, fresh.valid
    return Rows(values, valid, old.t0, old.step)


def _trace(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))[-4000:]
