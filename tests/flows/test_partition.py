"""Cutting work into partitions and shards."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.partition import (
    CLIPS_PER_PARTITION,
    SECONDS_PER_PARTITION,
    ClipWork,
    cut,
)
from flows.shard import Shard


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


def cuts(recording: str, count: int, seconds: float) -> list[ClipWork]:
    """Cuts of one recording, whose ids lie between those of others."""
    made = [work(i, seconds) for i in range(count)]
    return [
        replace(w, sha256=recording, start_us=i, media_key=str(i), clip=f"{i:05d} of {recording}")
        for i, w in enumerate(made)
    ]


def test_the_cuts_of_a_recording_stay_together_and_follow_each_other() -> None:
    groups = cut([*cuts("a", 15, 5.0), *cuts("b", 15, 4.0), *cuts("c", 7, 9.0)], 2)
    assert sorted(len(g) for g in groups) == [15, 22]
    for group in groups:
        media = [w.sha256 for w in group]
        assert len(list(groupby(media))) == len(set(media))
        assert len({*media} & {"a", "b"}) == 1


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    seconds=st.floats(0.1, 300),
    workers=st.integers(1, 20),
)
def test_cuts_are_shared_among_workers_within_the_limits(
    counts: list[int], seconds: float, workers: int
) -> None:
    works = [w for i, count in enumerate(counts) for w in cuts(str(i), count, seconds)]
    groups = cut(works, workers)
    assert sorted(w.clip for g in groups for w in g) == sorted(w.clip for w in works)
    assert all(0 < len(g) <= CLIPS_PER_PARTITION for g in groups)
    assert len(groups) >= min(workers, len(works))


@given(count=st.integers(1, 9), media=st.lists(st.text("abcdef0123456789", min_size=1)))
def test_shards_share_the_clips_without_overlap(count: int, media: list[str]) -> None:
    shards = [Shard(i, count) for i in range(1, count + 1)]
    for sha in media:
        assert sum(s.holds(sha) for s in shards) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/2", "1/0"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="i/N"):
        Shard.parse(text)


def test_names_of_one_medium_stay_together_whatever_the_number_of_workers() -> None:
    names = [replace(w, media_key="one") for w in cuts("a", 3, 9.0)]
    groups = cut([*names, *cuts("b", 8, 9.0)], 4)
    assert [sum(w in group for w in names) for group in groups].count(3) == 1
    assert len(groups) == 4


@pytest.mark.parametrize("count", [2, 3, 40])
def test_names_of_one_medium_stay_together_however_full_the_partitions_are(count: int) -> None:
    media = [work(i, 1 + i % 7) for i in range(60)]
    names = [replace(w, clip=f"{w.clip} {n}") for w in media for n in range(count)]
    groups = cut(names, 2)
    assert {w.clip for g in groups for w in g} == {w.clip for w in names}
    assert sum(map(len, groups)) == len(names)
    found = [{w.sha256 for w in g} for g in groups]
    assert sum(map(len, found)) == len(media)
    assert max(map(len, found)) <= CLIPS_PER_PARTITION
