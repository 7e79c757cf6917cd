"""At most one OpenFace per two processors, over all processes of this user on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: processors per clip: OpenFace hangs with one
PROCESSORS = 2
#: seconds between two looks for a free slot
LOOK = 0.05


@contextmanager
def slot() -> Iterator[None]:
    """Wait for a free place and hold it; a process that dies gives its place back."""
    try:
        import fcntl
    except ImportError:  # Windows has no such locks; there a run has one worker
        yield
        return
    folder = Path(tempfile.gettempdir()) / f"affectstore-openface-slots-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    count = max(1, (os.cpu_count() or 1) // PROCESSORS)
    held = -1
    try:
        while held < 0:
            for number in range(count):
                handle = os.open(
                    folder / str(number), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
                )
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    held = handle
                    break
                except BlockingIOError:
                    os.close(handle)
            else:
                time.sleep(LOOK)
        yield
    finally:
        if held >= 0:
            os.close(held)
