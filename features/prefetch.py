"""Reads ahead in a thread, so that a decoder works while its last batch is looked at."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

#: seconds between two looks whether the reader has gone away
PATIENCE = 0.05


class _Over:
    """The last thing in the queue: the end, or the error that was the end."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(source: Iterator[T], ahead: int = 1) -> Generator[T]:
    """The items of ``source`` in their order, up to ``ahead + 1`` of them made in advance.

    An error in the source is raised at its place. Closing this generator closes the source, in
    the thread that reads it, and waits for that.
    """
    queue: Queue[T | _Over] = Queue(ahead)
    gone = threading.Event()

    def put(item: T | _Over) -> bool:
        while not gone.is_set():
            try:
                queue.put(item, timeout=PATIENCE)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        error: BaseException | None = None
        try:
            for item in source:
                if not put(item):
                    break
        except BaseException as caught:
            error = caught
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        put(_Over(error))

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _Over):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        gone.set()
        while thread.is_alive():
            try:
                queue.get_nowait()
            except Empty:
                thread.join(PATIENCE)
