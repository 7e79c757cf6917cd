"""One decode of a clip's video for all steps that need it, and those that read them in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import closing

from features.errors import FeatureError, MediaError
from features.kept_frames import KeptFrames
from features.media.media import Media
from features.media.video import FrameBatch
from features.prefetch import prefetch
from features.spec import Rows
from features.step import Host, Step, finish, frames_step
from features.watching import tell

#: decoded pixels of a batch, in bytes, and frames at most; four batches are held at once: two at
#: work, one waiting, one being read
BATCH_BYTES = 64 * 2**20
FRAMES_PER_BATCH = 32


def chain(todo: Sequence[Step], waiting: Sequence[Step], host: Host) -> list[Step]:
    """The waiting steps that join a pass, in topological order.

    They read, frame by frame, what the pass makes, and need its frames themselves or feed a step
    that does: without them the video would have to be decoded once more. A step of which nothing
    may have to be computed stays out: to look is worth a decode.
    """
    made = {feature for step in todo for feature in step.features}
    joining: list[Step] = []
    for step in waiting:
        reads = set(step.inputs.values())
        if step.declaration.scope != "frames" or not all(f in made or host.has(f) for f in reads):
            continue
        if not host.waits(step):
            joining.append(step)
            made.update(step.features)
    kept: list[Step] = []
    needed: set[str] = set()
    for step in reversed(joining):
        if step.reads_video or needed & set(step.features):
            kept.append(step)
            needed.update(step.inputs.values())
    return kept[::-1]


def video_pass(
    media: Media,
    todo: Sequence[Step],
    chained: Sequence[Step],
    host: Host,
    check: Callable[[], None],
    beside: Executor | None = None,
    kept: KeptFrames | None = None,
) -> None:
    """One decode; every step gets every batch, the chained ones with the rows just made.

    With ``kept``, the frames come from there if they all are, or are put there for a later pass.

    With ``beside``, a thread of its own, the chained steps work on a batch while the others are
    at the next one.
    """
    first, second = [*todo], [*chained]
    errors: dict[int, FeatureError] = {}
    behind: Future[None] | None = None
    clock, began = time.perf_counter(), None
    try:
        pixels = any(s.declaration.pixels for s in (*todo, *chained))
        with closing(prefetch(_frames(media, pixels, kept))) as batches:
            for batch in batches:
                check()
                share = (time.perf_counter() - clock) / max(1, len(first) + len(second))
                made: dict[str, Rows] = {}
                _one_batch(media, first, errors, host, batch, made, share)
                if behind is not None:
                    behind.result()
                if beside is not None and second:
                    behind = beside.submit(
                        _one_batch, media, second, errors, host, batch, made, share
                    )
                else:
                    _one_batch(media, second, errors, host, batch, made, share)
                if not (first or second):
                    break
                if len(batch.times):
                    began = float(batch.times[0]) if began is None else began
                    tell(float(batch.times[-1]) - began)
                clock = time.perf_counter()
    except MediaError as error:
        errors.update({id(s): error for s in first})
    finally:
        if behind is not None:
            wait([behind])
    if behind is not None:
        behind.result()
    for step in [*todo, *chained]:
        if not all(host.has(f) for f in step.inputs.values()):
            host.void(step)
        elif id(step) in errors:
            host.fail(step, errors[id(step)])
        else:
            finish(step, host)


def _one_batch(
    media: Media,
    running: list[Step],
    errors: dict[int, FeatureError],
    host: Host,
    batch: FrameBatch,
    made: dict[str, Rows],
    share: float,
) -> None:
    """The batch's rows of every step that still runs, into ``made``; one that fails is taken out.

    ``share``: seconds of decoding to count for each.
    """
    start, stop = batch.start, batch.start + len(batch.times)
    for step in list(running):
        began = time.perf_counter()
        names = step.inputs.items()
        if not all(f in made or host.has(f) for f in step.inputs.values()):
            # what it reads failed in this pass
            running.remove(step)
            continue
        try:
            inputs = {
                slot: made[f] if f in made else host.source(f).read(start, stop)
                for slot, f in names
            }
            made.update(frames_step(step, media, inputs, batch))
        except FeatureError as error:
            running.remove(step)
            errors[id(step)] = error
        step.seconds += time.perf_counter() - began + share


def _frames(media: Media, pixels: bool, kept: KeptFrames | None) -> Generator[FrameBatch]:
    if kept is not None and kept.whole:
        return kept.batches()
    decoded = media.video(_frames_per_batch(media), pixels)
    return decoded if kept is None else kept.keep(decoded)


def _frames_per_batch(media: Media) -> int:
    video = media.probe.video
    if video is None:
        return FRAMES_PER_BATCH
    return max(1, min(FRAMES_PER_BATCH, BATCH_BYTES // (3 * video.width * video.height)))
