"""The frames that are learned from or scored, with their labels, in the order of an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.abaw.cleaning import broken, contradictions, possible
from trainers.abaw.labels import TaskLabels, joined
from trainers.errors import NothingToTrain

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frames:
    """Labelled frames of some clips.

    Attributes:
        clips, rows: int64 ``(frames,)``, the clip's position and the frame in it.
        labels: of the frames.
        dropped: rule of the filter -> how many frames broke it.
        labelled: frames that had a label before the filter.
    """

    clips: Ints
    rows: Ints
    labels: TaskLabels
    dropped: Mapping[str, int]
    labelled: int

    def __len__(self) -> int:
        return len(self.clips)

    def every(self, stride: int) -> Frames:
        """Every so many of them."""
        some = np.arange(0, len(self), stride)
        labels = self.labels.take(some)
        return Frames(self.clips[some], self.rows[some], labels, self.dropped, self.labelled)

    def note(self) -> str:
        """What the filter dropped."""
        gone = self.labelled - len(self)
        rules = ", ".join(f"{rule} {count}" for rule, count in self.dropped.items())
        return (
            f"filter: {gone} of {self.labelled} labelled frames dropped "
            f"({gone / max(self.labelled, 1):.1%}); {rules}"
        )


def labelled_frames(labels: Sequence[TaskLabels], expressions: int, *, clean: bool) -> Frames:
    """The frames with any label, of clips given in order.

    Args:
        clean: frames that break a rule of the filter are left out; else only their labels that
            can't be.

    Raises:
        NothingToTrain: none are left.
    """
    counts = np.array([len(one) for one in labels], np.int64)
    clips = np.repeat(np.arange(len(labels)), counts)
    rows = np.concatenate([np.arange(n) for n in counts.tolist()])
    all_ = joined(labels)
    had = all_.known() | all_.impossible
    dropped: dict[str, int] = {}
    if clean:
        rules = contradictions(all_, expressions)
        dropped = {rule: int(found.sum()) for rule, found in rules.items()}
        kept = np.flatnonzero(had & ~broken(rules))
    else:
        all_ = possible(all_, expressions)
        kept = np.flatnonzero(all_.known())
    if not len(kept):
        raise NothingToTrain(
            f"no frame is left to learn from or to score: {int(had.sum())} had labels, {dropped}"
        )
    return Frames(clips[kept], rows[kept], all_.take(kept), dropped, int(had.sum()))


def epoch_order(count: int, size: int, seed: int, epoch: int) -> Ints:
    """The ``size`` frames of an epoch, of ``count``: every frame once before any comes again.

    It follows from seed and epoch alone. Passes over all frames, each in another order, are cut
    into epochs.
    """
    start, stop = epoch * size, (epoch + 1) * size
    parts = []
    for turn in range(start // count, (stop - 1) // count + 1):
        order = np.random.default_rng([seed, turn]).permutation(count)
        parts.append(order[max(0, start - turn * count) : stop - turn * count])
    return np.concatenate(parts)
