"""The decoders that cuts of a recording share, from clip to clip and partition to partition."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from features.media.recording import Recording
from flows.partition import ClipWork
from storage.keys import MICROSECONDS

#: seconds that decoders stay open for another partition with cuts of the same recording
KEEP_SECONDS = 30.0


class Recordings:
    """The recording whose cuts are being executed; one at a time.

    Args:
        works: the clips of the partition.
    """

    def __init__(self, works: Sequence[ClipWork], opened: Recording | None = None) -> None:
        self._works, self.opened = works, opened

    def of(self, work: ClipWork) -> Recording | None:
        """What the clip shares with other cuts of its file; None if it is the whole file."""
        if work.start_us is None and work.stop_us is None:
            return None
        version = (work.uri, work.size, work.mtime_ns)
        if self.opened is None or self.opened.version != version:
            self.close()
            self.opened = Recording(version)
        self.opened.expect([_seconds(w) for w in self._works if w.uri == work.uri])
        return self.opened

    def close(self) -> None:
        """End the decoders."""
        if self.opened is not None:
            self.opened.close()
            self.opened = None


class _Shelf:
    """Where a process keeps the recording of its last partition for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: Recordings | None = None
        self._timer: threading.Timer | None = None

    def take(self) -> Recording | None:
        with self._lock:
            kept, self._kept = self._kept, None
            return kept.opened if kept is not None else None

    def put(self, recordings: Recordings) -> None:
        self.clear()
        if recordings.opened is None:
            return
        with self._lock:
            self._kept = recordings
            self._timer = threading.Timer(KEEP_SECONDS, self.clear)
            self._timer.daemon = True
            self._timer.start()

    def clear(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._kept is not None:
                self._kept.close()
                self._kept = None


_shelf = _Shelf()


@contextmanager
def recordings(works: Sequence[ClipWork]) -> Iterator[Recordings]:
    """For the clips of one partition; what is open afterwards waits for the next one."""
    lent = Recordings(works, _shelf.take())
    try:
        yield lent
    except BaseException:
        lent.close()
        raise
    _shelf.put(lent)


def release() -> None:
    """End the decoders that wait for another partition in this process."""
    _shelf.clear()


def _seconds(work: ClipWork) -> tuple[float | None, float | None]:
    start, stop = work.start_us, work.stop_us
    return (
        None if start is None else start / MICROSECONDS,
        None if stop is None else stop / MICROSECONDS,
    )
