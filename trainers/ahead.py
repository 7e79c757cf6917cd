"""Work that is done ahead by threads and handed out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(make: Callable[[T], R], of: Iterable[T], threads: int) -> Iterator[R]:
    """``make(item)`` of each item, in order, with up to twice as many under way as threads.

    Args:
        threads: 0 makes each when it is asked for.
    """
    if threads < 1:
        yield from map(make, of)
        return
    items = iter(of)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in islice(items, 2 * threads):
                waiting.append(pool.submit(make, item))
            while waiting:
                done = waiting.popleft().result()
                for item in islice(items, 1):
                    waiting.append(pool.submit(make, item))
                yield done
        finally:  # whoever stops in the middle doesn't wait for the rest
            for future in waiting:
                future.cancel()
