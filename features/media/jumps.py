"""Where the times of decoded sound leave the count of its samples: holes, lost packets, overlaps.

Decoders give samples one after the other, whatever lies between their packets. A track that was
switched off for two seconds, or that lost packets, so comes out too short, and all that follows
would lie early.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

#: seconds by which a packet must leave the count: more than containers round by, about what a
#: video frame lasts (our choice)
LEAST_JUMP = 0.05


@dataclass(frozen=True)
class Jump:
    """From ``sample`` on (counted from the stream's first), sound lies ``shift`` samples later
    than its number says: all jumps so far together. Negative: earlier."""

    sample: int
    shift: int


class Jumps:
    """The jumps of one stream, found from the lines that ffmpeg writes for each packet.

    A packet that leaves the count and whose follower is back is one with a wrong time, no jump;
    so the newest packet may be undecided for a while. Slow drift counts once it sums up.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._first: tuple[Fraction, int] | None = None
        self._open: Jump | None = None
        self.found: list[Jump] = []

    def add(self, line: str) -> None:
        """Take in a line ``timestamp base,…,sample number``; one without a time tells nothing."""
        stamp, _, base = line.partition(",")[0].partition(" ")
        number = line.rpartition(",")[2]
        if not (stamp.lstrip("-").isdigit() and number.isdigit()) or base.startswith("0/"):
            return
        time, sample = int(stamp) * Fraction(base), int(number)
        if self._first is None:
            self._first = time, sample
        start, count = self._first
        at = sample - count
        self._judge(Jump(at, round((time - start) * self._rate) - at))

    def finish(self) -> None:
        """No further packet comes: the last one's time stands."""
        if self._open is not None:
            self.found.append(self._open)
            self._open = None

    @property
    def decided(self) -> int | None:
        """Samples from here on may still turn out to lie elsewhere; None: all are decided."""
        return None if self._open is None else self._open.sample

    def shift(self, sample: int) -> int:
        """By how much that sample lies later than its number says."""
        place = bisect_right(self.found, sample, key=lambda jump: jump.sample)
        return self.found[place - 1].shift if place else 0

    def next(self, sample: int) -> int | None:
        """The first sample after ``sample`` at which a jump is."""
        place = bisect_right(self.found, sample, key=lambda jump: jump.sample)
        return self.found[place].sample if place < len(self.found) else None

    def _judge(self, packet: Jump) -> None:
        least = LEAST_JUMP * self._rate
        before = self.found[-1].shift if self.found else 0
        if self._open is not None:
            ahead = 1 if self._open.shift > before else -1
            if ahead * (packet.shift - self._open.shift) >= -least:
                self.found.append(self._open)
                before = self._open.shift
            self._open = None
        if abs(packet.shift - before) > least:
            self._open = packet
