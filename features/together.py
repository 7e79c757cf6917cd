"""Rows of several clips in one call, so that short clips leave no network's batch half empty."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.errors import FeatureError, UnexpectedFailure
from features.extractor import Batch
from features.media.media import Media
from features.spec import Rows
from features.step import Host, Source, Step, extract, finish, merged

#: rows per call for frame extractors that decode nothing; a multiple of every network's own group
ROWS_PER_BATCH = 256


@dataclass(eq=False)
class _Member:
    """A clip of whose rows some aren't done yet."""

    media: Media
    step: Step
    host: Host
    over: bool = False


@dataclass(eq=False)
class _Block:
    """Consecutive rows of one clip, and what is computed of them so far.

    Attributes:
        changed: int64 ``(k,)``, the rows from ``start`` on that no earlier result has.
        places: int64 ``(n,)``, those of them to compute; the others' inputs are invalid.
        inputs: slot -> the rows at ``places``.
        found: output -> rows, piece after piece, ``computed`` in all.
    """

    member: _Member
    start: int
    rows: int
    t0: float
    changed: NDArray[np.intp]
    places: NDArray[np.intp]
    inputs: Mapping[str, Rows]
    last: bool
    computed: int = 0
    found: list[Mapping[str, Rows]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Rows that are still to compute."""
        return len(self.places) - self.computed


@dataclass(frozen=True)
class _Share:
    """The next ``count`` rows of a block."""

    block: _Block
    count: int

    def inputs(self, slot: str) -> Rows:
        """Their inputs."""
        first = self.block.computed
        return self.block.inputs[slot].slice(first, first + self.count)


class Together:
    """Steps of extractors that say ``across_clips``, clip after clip.

    Rows that have to be computed wait until there are ``ROWS_PER_BATCH`` of them, whichever clips
    they are of, then each clip gets its own back, in order. At most two batches of inputs are held
    per extractor. A clip on which the extractor fails fails alone. ``check`` is called before each
    batch and may raise to stop.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self._queues: dict[str, deque[_Block]] = {}

    def add(self, media: Media, step: Step, host: Host) -> None:
        """Take on a step that has begun and whose inputs are there; ``host`` hears when it is done.

        The sinks are opened when the first rows are ready, after the clips before are done.
        """
        member = _Member(media, step, host)
        queue = self._queues.setdefault(step.declaration.name, deque())
        sources = {slot: host.source(feature) for slot, feature in step.inputs.items()}
        rows = next(iter(sources.values())).rows
        changed = np.ones(rows, bool)
        if step.reuse is not None:
            try:
                now = {slot: source.digest() for slot, source in sources.items()}
            except FeatureError as error:
                _fail(queue, member, error)
                return
            changed = step.reuse.changed(0, now)
        for start in range(0, max(rows, 1), ROWS_PER_BATCH):
            self._check()
            began = time.perf_counter()
            stop = min(start + ROWS_PER_BATCH, rows)
            try:
                queue.append(_block(member, sources, start, changed[start:stop]))
            except FeatureError as error:
                _fail(queue, member, error)
            step.seconds += time.perf_counter() - began
            while sum(block.left for block in queue) >= ROWS_PER_BATCH:
                self._next(queue)
            _hand_over(queue)
            if member.over:
                return

    def finish(self, name: str | None = None) -> None:
        """Compute what waits, of all extractors or of one, in batches that may not be full."""
        for queue in [q for n, q in self._queues.items() if name in (None, n)]:
            while any(block.left for block in queue):
                self._next(queue)
            _hand_over(queue)

    def _next(self, queue: deque[_Block]) -> None:
        """Compute the next batch."""
        self._check()
        room, shares = ROWS_PER_BATCH, list[_Share]()
        for block in queue:
            if count := min(room, block.left):
                shares.append(_Share(block, count))
                room -= count
        _compute(queue, shares)
        _hand_over(queue)


def _block(
    member: _Member, sources: Mapping[str, Source], start: int, changed: NDArray[np.bool_]
) -> _Block:
    """The rows of one look at a clip, with what is to compute of them."""
    index, stop = np.flatnonzero(changed), start + len(changed)
    last = stop == next(iter(sources.values())).rows
    if member.step.reuse is not None and not len(index):
        # all of them are copied: their inputs, images in most cases, needn't be read
        return _Block(member, start, len(changed), 0.0, index, index, {}, last)
    inputs = {slot: source.read(start, stop) for slot, source in sources.items()}
    valid = np.logical_and.reduce([rows.valid for rows in inputs.values()])
    places = index[valid[index]]
    taken = {slot: rows.take(places) for slot, rows in inputs.items()}
    t0 = next(iter(inputs.values())).t0
    return _Block(member, start, len(changed), t0, index, places, taken, last)


def _compute(queue: deque[_Block], shares: Sequence[_Share]) -> None:
    """One call; where it fails, one for each of its clips."""
    members = list(dict.fromkeys(share.block.member for share in shares))
    began = time.perf_counter()
    try:
        made = _extract(members, shares)
    except FeatureError as error:
        if len(members) == 1:
            _fail(queue, members[0], error)
            return
        for member in members:
            _compute(queue, [share for share in shares if share.block.member is member])
        return
    each = (time.perf_counter() - began) / sum(share.count for share in shares)
    first = 0
    for share in shares:
        block, step = share.block, share.block.member.step
        stop = first + share.count
        block.found.append({f: made[f].slice(first, stop) for f in step.features})
        block.computed += share.count
        step.seconds += each * share.count
        first = stop


def _extract(members: Sequence[_Member], shares: Sequence[_Share]) -> Mapping[str, Rows]:
    """Output -> the shares' rows, one after the other."""
    step = members[0].step
    wanted = {feature for member in members for feature in member.step.features}
    # of several clips, no one's medium: to read it is an error then, not another clip's numbers
    media = members[0].media if len(members) == 1 else Media(f"{len(members)} clips at once")
    count = sum(share.count for share in shares)
    inputs = {slot: Rows.concat([share.inputs(slot) for share in shares]) for slot in step.inputs}
    features = tuple(s.name for s in step.declaration.outputs if s.name in wanted)
    batch = Batch(media, times=np.zeros(count), inputs=inputs)
    made = extract(replace(step, features=features), batch)
    for feature in features:
        if made[feature].rows != count:
            raise UnexpectedFailure(
                f"{step.declaration.name} {step.declaration.version} made {made[feature].rows} "
                f"rows of {feature} from {count} on {media.name}; please report it"
            )
    return made


def _hand_over(queue: deque[_Block]) -> None:
    """Append what is complete at the head of the queue; a clip whose last block it was is done."""
    while queue and not queue[0].left:
        block = queue.popleft()
        member, step = block.member, block.member.step
        began = time.perf_counter()
        try:
            if block.start == 0:
                member.host.open(step)
            for feature in step.features:
                step.sinks[feature].append(_rows(block, feature))
        except FeatureError as error:
            _fail(queue, member, error)
            continue
        step.computed += len(block.changed)
        step.reused += block.rows - len(block.changed)
        step.seconds += time.perf_counter() - began
        if block.last:
            member.over = True
            finish(step, member.host)


def _rows(block: _Block, feature: str) -> Rows:
    """All rows of a block: computed, copied, or invalid since their inputs are."""
    step = block.member.step
    spec = step.spec(feature)
    if step.reuse is None:
        made = spec.invalid(block.rows, t0=block.t0)
    else:
        old = step.reuse.previous[feature].read(block.start, block.start + block.rows)
        made = merged(old, block.changed, spec.invalid(len(block.changed)))
    if block.found:
        made = merged(made, block.places, Rows.concat([piece[feature] for piece in block.found]))
    return made


def _fail(queue: deque[_Block], member: _Member, error: FeatureError) -> None:
    """The clip's step fails, and what waits of it goes."""
    member.over = True
    for block in [b for b in queue if b.member is member]:
        queue.remove(block)
    member.host.fail(member.step, error)
