"""What happens in a demo clip: its subject, its clock, and its labels at every moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: frames per second of the clips, and of the first half of those with a variable rate
FPS = 25.0
#: clips of one synthetic subject, one after the other
CLIPS_PER_SUBJECT = 2
#: the quadrants of (valence, arousal) that successive clips lie in, and their names
QUADRANTS = ((1, 1, "happy"), (-1, -1, "sad"), (-1, 1, "angry"), (1, -1, "calm"))
#: of every six clips, the one whose second half has half the frames
VARIABLE = 3
#: of every six clips, the one whose sound starts late
LATE = 4
#: seconds by which it is late
LATENESS = 0.4

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Script:
    """One clip before anything is drawn.

    Attributes:
        clip: id, ``demo_1`` and so on.
        subject: ``synthetic_1`` and so on: one portrait, transformed.
        split: ``train`` or ``val``; no subject is in both.
        times: seconds of each video frame, ``(frames,)``.
        seconds: where video and sound stop.
        sound_start: seconds at which the sound begins.
    """

    clip: str
    number: int
    seed: int
    subject: str
    split: str
    emotion: str
    times: Array
    seconds: float
    sound_start: float

    def subject_random(self, topic: int) -> np.random.Generator:
        """Random numbers that are the same in all clips of the subject, apart for each topic."""
        return np.random.default_rng([self.seed, 1, self.number // CLIPS_PER_SUBJECT, topic])

    def random(self, topic: int) -> np.random.Generator:
        """Random numbers of this clip, apart for each topic."""
        return np.random.default_rng([self.seed, 2, self.number, topic])

    def valence(self, times: Array) -> Array:
        """Valence at any times, -1..1."""
        return self._curve(times, _quadrant(self.number)[0], 0)

    def arousal(self, times: Array) -> Array:
        """Arousal at any times, -1..1."""
        return self._curve(times, _quadrant(self.number)[1], 1)

    def _curve(self, times: Array, side: int, topic: int) -> Array:
        """Mostly on one side of zero, swinging slowly, never past 1."""
        slow, fast = self.random(topic).uniform(0.0, 2 * np.pi, 2)
        swing = 0.4 * np.sin(2 * np.pi * times / 3.1 + slow)
        tremor = 0.1 * np.sin(2 * np.pi * times / 1.1 + fast)
        return np.asarray(0.45 * side + swing + tremor, np.float64)


def script(number: int, clips: int, seconds: float, seed: int) -> Script:
    """The script of clip ``number`` (from 0); the last third of the subjects is ``val``."""
    subject = number // CLIPS_PER_SUBJECT
    subjects = -(-clips // CLIPS_PER_SUBJECT)
    times = np.arange(max(1, round(seconds * FPS))) / FPS
    if number % 6 == VARIABLE:
        late = np.arange(len(times)) * 2 >= len(times)
        times = times[~late | (np.arange(len(times)) % 2 == 0)]
    return Script(
        clip=f"demo_{number + 1}",
        number=number,
        seed=seed,
        subject=f"synthetic_{subject + 1}",
        split="val" if subject and subject >= subjects - subjects // 3 else "train",
        emotion=_quadrant(number)[2],
        times=times,
        seconds=seconds,
        sound_start=min(LATENESS, seconds / 2) if number % 6 == LATE else 0.0,
    )


def _quadrant(number: int) -> tuple[int, int, str]:
    """Of a clip; each four clips begin one further, so that no look belongs to two emotions."""
    return QUADRANTS[(number + number // len(QUADRANTS)) % len(QUADRANTS)]
