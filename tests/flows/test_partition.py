"""Cutting work into partitions and shards."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.partition import (
    CLIPS_PER_PARTITION,
    SECONDS_PER_PARTITION,
    ClipWork,
    Shard,
    cut,
)


def work(i: int, seconds: float) -> ClipWork:
    sha = hashlib.sha256(str(i).encode()).hexdigest()
    return ClipWork("c", f"{i:05d}", "x", None, None, "m", sha, 0, 0, None, seconds, ("faces",))


@given(lengths=st.lists(st.floats(0.1, 3000), max_size=120), workers=st.integers(1, 40))
def test_every_clip_is_in_exactly_one_partition(lengths: list[float], workers: int) -> None:
    works = [work(i, s) for i, s in enumerate(lengths)]
    groups = cut(works, workers)
    assert sorted(w.clip for g in groups for w in g) == [w.clip for w in works]
    assert all(0 < len(g) <= CLIPS_PER_PARTITION for g in groups)
    assert len(groups) >= min(workers, len(works))


def test_partitions_are_about_equally_long() -> None:
    groups = cut([work(i, 1 + i % 7) for i in range(1000)], 4)
    seconds = [sum(w.seconds for w in g) for g in groups]
    assert max(seconds) < 1.2 * min(seconds)


def test_long_clips_get_partitions_of_their_own() -> None:
    groups = cut([work(i, SECONDS_PER_PARTITION) for i in range(6)], 1)
    assert [len(g) for g in groups] == [1] * 6


@given(count=st.integers(1, 9), media=st.lists(st.text("abcdef0123456789", min_size=1)))
def test_shards_share_the_clips_without_overlap(count: int, media: list[str]) -> None:
    shards = [Shard(i, count) for i in range(1, count + 1)]
    for sha in media:
        assert sum(s.holds(sha) for s in shards) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/2", "1/0"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="i/N"):
        Shard.parse(text)
