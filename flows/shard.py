"""Shards: the share of the clips that is one process's of an array job."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from features.errors import RequestError


@dataclass(frozen=True)
class Shard:
    """The share ``number`` of ``count`` of the clips, the same in every process."""

    number: int = 1
    count: int = 1

    @staticmethod
    def parse(text: str) -> Shard:
        """``"2/3"`` -> the second of three (RequestError otherwise)."""
        number, _, count = text.partition("/")
        try:
            shard = Shard(int(number), int(count))
        except ValueError:
            shard = Shard(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise RequestError(f"--shard {text}: write it as i/N with 1 <= i <= N, such as 2/3")
        return shard

    def holds(self, sha256: str | None) -> bool:
        """True if the clips of that medium are this shard's; cuts of one file stay together.

        Of forgotten clips no medium is known: they are nobody's.
        """
        if sha256 is None:
            return False
        place = int(hashlib.sha256(sha256.encode()).hexdigest()[:12], 16)
        return place % self.count == self.number - 1
