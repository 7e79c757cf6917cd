"""A folder for one run, which goes with it: at the next run, if its process was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.openface.errors import NoPlace

PREFIX = "affectstore-openface-run-"
LOCK = "lock"
#: seconds for which a folder without a lock may be one that is just being made
YOUNG = 60.0


@contextmanager
def work_folder() -> Iterator[Path]:
    """An empty folder, removed at the end; those that killed processes left go first.

    Raises:
        NoPlace: there is nowhere to make it.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise NoPlace(
            f"OpenFace has nowhere to write ({error}); set TMPDIR to a folder with some space"
        ) from error
    sweep()
    with made as name:
        lock = os.open(Path(name) / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(lock)
            (Path(name) / "run").mkdir()
            yield Path(name) / "run"
        finally:
            os.close(lock)


def sweep() -> None:
    """Remove the folders of this user's runs whose process is no more."""
    if not hasattr(os, "getuid"):
        return
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < YOUNG:
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                if _take(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _take(handle: int) -> bool:
    """Lock an open file; False if another process has it. The kernel gives it back."""
    try:
        import fcntl
    except ImportError:  # Windows: no such locks, and no sweep
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
