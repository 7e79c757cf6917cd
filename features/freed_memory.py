"""Large buffers that come and go with every batch are kept for the next one; what a pass over a
clip leaves is given back."""

from __future__ import annotations

import ctypes
import os
from functools import cache

MIB = 2**20

#: glibc's numbers for ``mallopt``, and what they are set to: one heap for threads that begin later,
#: too (-8); free bytes at its end that are kept (-1; with 512 MiB a worker held .1 GB more and was
#: no faster); the size from which a buffer is mapped anew each time instead of coming from the heap
#: (-3; glibc's own highest)
_SETTINGS = {-8: 1, -1: 256 * MIB, -3: 32 * MIB}

#: variables by which a user sets the same, with what Dask puts there for every worker it starts
_BY_USER = {
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_ARENA_MAX": None,
    "MALLOC_MMAP_THRESHOLD_": None,
    "GLIBC_TUNABLES": None,
}


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep what was freed; False where there is no glibc, or the user has set it.

    A network's layers ask for the same tens of MiB for each batch. By default glibc gives them
    back every time, and the system hands out each page anew, zeroed: a fifth of the clock's time
    of an extract of 1080p frames. The most memory that is ever held stays about the same.
    """
    if any(os.environ.get(name) not in (None, usual) for name, usual in _BY_USER.items()):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    done = [mallopt(number, value) for number, value in _SETTINGS.items()]
    return all(done)


def give_back_freed_memory() -> None:
    """Return what was freed to the system, wherever in the heap it lies; nothing without glibc.

    For moments when much was freed that nobody asks for again: some 10 ms, and new pages later.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        return
