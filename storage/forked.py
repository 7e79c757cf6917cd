"""Forks of a process that has read tables: delta-rs's threads don't survive, and it panics."""

from __future__ import annotations

import os

from storage.errors import StoreError

#: whether this process has opened a table, and whether it is the fork of one that had
_opened = _forked = False


def _note_fork() -> None:
    global _forked
    _forked = _opened


os.register_at_fork(after_in_child=_note_fork)


def opening(uri: str) -> None:
    """Note that a table is about to be read.

    Raises:
        StoreError: it can't be, in a forked process whose parent has read tables.
    """
    global _opened
    if _forked:
        raise StoreError(
            f"{uri} can't be read in a forked process whose parent read a store: start workers by "
            "forkserver or spawn (DataLoader(..., multiprocessing_context='forkserver')), or look "
            "results up before, by store.select, and read them by store.read_result"
        )
    _opened = True
