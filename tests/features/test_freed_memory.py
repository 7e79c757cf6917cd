"""Buffers that come and go are taken from what the process holds already."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")

ROUNDS = """
import resource, sys, threading
from features.freed_memory import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else None

def rounds():
    for _ in range(12):
        buffers = [b"x" * (10 * 2**20) for _ in range(3)]
        del buffers

def faults(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def in_a_thread():
    thread = threading.Thread(target=rounds)
    thread.start()
    thread.join()

print(kept, faults(rounds), faults(in_a_thread))
"""
PAGES_OF_ONE_ROUND = 3 * 10 * 2**20 // 4096


def measured(how: str, **environ: str) -> tuple[str, int, int]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    found = subprocess.run(
        [sys.executable, "-c", ROUNDS, how],
        env={**plain, **environ},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return found[0], int(found[1]), int(found[2])


@glibc
@pytest.mark.parametrize("dask", [{}, {"MALLOC_TRIM_THRESHOLD_": "65536"}])
def test_pages_are_taken_once_in_the_main_thread_and_in_others(dask: dict[str, str]) -> None:
    kept, main, thread = measured("keep", **dask)
    assert kept == "True"
    assert main < 3 * PAGES_OF_ONE_ROUND
    assert thread < 3 * PAGES_OF_ONE_ROUND
    _, by_default, _ = measured("leave", **dask)
    assert by_default > 5 * PAGES_OF_ONE_ROUND, "then nothing would have to be set"


@glibc
def test_what_the_user_set_stays() -> None:
    kept, _, _ = measured("keep", MALLOC_TRIM_THRESHOLD_="1000000")
    assert kept == "False"
