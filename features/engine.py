"""Runs a clip's extractors on as few decodes as possible; knows nothing of stores or flows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from features.errors import FeatureError
from features.extractor import Batch
from features.freed_memory import give_back_freed_memory
from features.kept_frames import KeptFrames
from features.media.media import Media
from features.media.video import FrameBatch
from features.spec import Rows
from features.step import (
    Host,
    Reuse,
    Sink,
    Source,
    Step,
    append,
    enough_memory,
    extract,
    finish,
    frames_step,
)
from features.together import ROWS_PER_BATCH, Together
from features.video_pass import chain, video_pass

__all__ = ["Host", "Reuse", "Sink", "Source", "Step", "run_clip"]


def run_clip(
    media: Media,
    steps: Sequence[Step],
    host: Host,
    check: Callable[[], None] = lambda: None,
    *,
    side_by_side: bool = False,
    together: Together | None = None,
) -> None:
    """Run the steps (in topological order) of one clip, as few video decodes as they allow.

    Video extractors whose inputs are there share one pass over the frames, and those that read
    them frame by frame join it; what reads no video runs between the passes. A failing step
    takes with it only what reads from it. Audio is decoded beside the video, in a thread.
    ``check`` is called between batches and may raise to stop. ``side_by_side``: steps that join
    a pass run in a thread of their own, a batch behind; not where they compute on a GPU, whose
    settings are the whole process's. ``together``: where rows wait for those of other clips to
    fill a batch; the caller finishes it. None: nothing waits.
    """
    waiting, kept = list(steps), KeptFrames()
    shared = Together(check) if together is None else together
    with ThreadPoolExecutor(1, "audio") as beside, ThreadPoolExecutor(1, "chained") as behind:
        while True:
            todo, audio = _run_ready(media, waiting, host, check, shared)
            if not todo and not audio:
                break
            chained = chain(todo, waiting, host)
            for step in chained:
                waiting.remove(step)
                shared.finish(step.declaration.name)
                host.begin_chained(step)
            heard = [
                (step, beside.submit(_whole, media, step, inputs))
                for step in audio
                if (inputs := _inputs_or_fail(media, step, host)) is not None
            ]
            if todo:
                # nobody may come after: then nothing is kept
                again = kept.whole or any(s.reads_video for s in waiting)
                video_pass(
                    *(media, todo, chained, host, check),
                    beside=behind if side_by_side else None,
                    kept=kept if again else None,
                )
                if again and not kept.whole:
                    # frames that were kept for a while, and what is made of sound comes next
                    give_back_freed_memory()
            for step, rows in heard:
                check()
                _keep(step, rows.result, host)
    if together is None:
        shared.finish()


def _run_ready(
    media: Media,
    waiting: list[Step],
    host: Host,
    check: Callable[[], None],
    together: Together,
) -> tuple[list[Step], list[Step]]:
    """Run all that decodes nothing.

    Returns:
        The steps that are ready for a pass over the video, and those for the audio.
    """
    todo: list[Step] = []
    audio: list[Step] = []
    while ready := [s for s in waiting if all(host.has(f) for f in s.inputs.values())]:
        for step in [s for s in ready if not s.reads_video] or ready:
            waiting.remove(step)
            if not _begin(step, host):
                continue
            if step.declaration.across_clips:
                together.add(media, step, host)
                if any({*step.features} & {*other.inputs.values()} for other in waiting):
                    # the clip's others need it before they can begin
                    together.finish(step.declaration.name)
                continue
            host.open(step)
            if step.reads_video:
                if step.reuse is not None and step.reuse.unchanged:
                    _copy_all(step, host)
                else:
                    todo.append(step)
            elif step.declaration.reads == "audio" and step.declaration.scope == "clip":
                audio.append(step)
            else:
                check()
                _run_alone(media, step, host)
    return todo, audio


def _begin(step: Step, host: Host) -> bool:
    try:
        return host.begin(step)
    except FeatureError as error:
        host.fail(step, error)
        return False


def _run_alone(media: Media, step: Step, host: Host) -> None:
    """A step that decodes nothing: once for the clip, or in batches of rows."""
    if step.declaration.scope == "clip":
        inputs = _inputs_or_fail(media, step, host)
        if inputs is not None:
            _keep(step, lambda: _whole(media, step, inputs), host)
        return
    started = time.perf_counter()
    try:
        sources = {slot: host.source(feature) for slot, feature in step.inputs.items()}
        rows = next(iter(sources.values())).rows
        for start in range(0, rows, ROWS_PER_BATCH):
            stop = min(start + ROWS_PER_BATCH, rows)
            nothing = FrameBatch(start, np.zeros(stop - start), None)
            part = {slot: source.read(start, stop) for slot, source in sources.items()}
            frames_step(step, media, part, nothing)
    except FeatureError as error:
        host.fail(step, error)
        return
    step.seconds = time.perf_counter() - started
    finish(step, host)


def _inputs_or_fail(media: Media, step: Step, host: Host) -> dict[str, Rows] | None:
    """All rows of what the step reads; None if they don't fit into memory, and the step failed."""
    sources = {slot: host.source(feature) for slot, feature in step.inputs.items()}
    try:
        with enough_memory(step, media.name):
            return {slot: source.read(0, source.rows) for slot, source in sources.items()}
    except FeatureError as error:
        host.fail(step, error)
        return None


def _whole(media: Media, step: Step, inputs: Mapping[str, Rows]) -> Mapping[str, Rows]:
    """The rows of a step that is called once for the clip."""
    started = time.perf_counter()
    made = extract(step, Batch(media, inputs=inputs))
    step.seconds = time.perf_counter() - started
    return made


def _keep(step: Step, result: Callable[[], Mapping[str, Rows]], host: Host) -> None:
    """Hand over the rows of a whole clip, or why there are none."""
    try:
        append(step, result())
    except FeatureError as error:
        host.fail(step, error)
    else:
        finish(step, host)


def _copy_all(step: Step, host: Host) -> None:
    began = time.perf_counter()
    previous = step.reuse.previous if step.reuse else {}
    try:
        for feature, source in previous.items():
            for start in range(0, source.rows, ROWS_PER_BATCH):
                rows = source.read(start, min(start + ROWS_PER_BATCH, source.rows))
                step.sinks[feature].append(rows)
            step.reused = source.rows
    except FeatureError as error:
        host.fail(step, error)
        return
    step.seconds = time.perf_counter() - began
    finish(step, host)
