"""A short clip's frames are kept for its later passes; of a longer one nothing is."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from features import kept_frames
from features.kept_frames import KeptFrames
from features.media.video import FrameBatch

#: bytes of one batch of four frames
BATCH = 4 * 2 * 3 * 3


def batches(
    count: int, closed: list[int] | None = None, pixels: bool = True
) -> Generator[FrameBatch]:
    try:
        for i in range(count):
            frames = np.full((4, 2, 3, 3), i, np.uint8) if pixels else None
            yield FrameBatch(4 * i, np.arange(4) + 4.0 * i, frames)
    finally:
        if closed is not None:
            closed.append(1)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_frames, "KEPT_BYTES", 3 * BATCH)


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(("count", "whole"), [(1, True), (3, True), (4, False), (9, False)])
def test_all_frames_are_kept_or_none(count: int, whole: bool) -> None:
    kept = KeptFrames()
    given = list(kept.keep(batches(count)))
    assert [b.start for b in given] == [4 * i for i in range(count)]
    assert kept.whole is whole
    again = list(kept.batches())
    assert len(again) == (count if whole else 0)
    assert all(a is b for a, b in zip(again, given, strict=False))


@pytest.mark.usefixtures("room")
def test_what_has_no_room_is_let_go_before_the_end() -> None:
    kept = KeptFrames()
    coming = kept.keep(batches(9))
    for _ in range(4):
        next(coming)
    assert list(kept.batches()) == []


def test_times_without_pixels_are_no_frames() -> None:
    kept = KeptFrames()
    assert len(list(kept.keep(batches(2, pixels=False)))) == 2
    assert not kept.whole


def test_a_pass_that_was_left_or_failed_isnt_whole_and_closes_its_source() -> None:
    kept, closed = KeptFrames(), list[int]()
    coming = kept.keep(batches(3, closed))
    next(coming)
    coming.close()
    assert (kept.whole, closed) == (False, [1])

    def broken() -> Generator[FrameBatch]:
        yield from batches(2)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(kept.keep(broken()))
    assert not kept.whole
    assert [b.start for b in kept.keep(batches(2))] == [0, 4]
    assert kept.whole
    assert [b.start for b in kept.batches()] == [0, 4], "nothing of the passes before"
