"""Reading ahead changes neither order, nor errors, nor who closes what."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from features.prefetch import prefetch


def test_items_come_in_order() -> None:
    assert list(prefetch(iter(range(100)))) == list(range(100))


def test_an_error_comes_at_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    got = prefetch(source())
    assert next(got) == 1
    with pytest.raises(ValueError, match="broken"):
        next(got)


def test_the_next_item_is_made_while_the_last_is_used() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(10):
            made.append(i)
            yield i

    got = prefetch(source())
    next(got)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 3
    got.close()


def test_closing_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    got = prefetch(source())
    assert next(got) == 0
    got.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
