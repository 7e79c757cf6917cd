"""Runs a program under a time limit so that it never outlives who started it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: shell script, then the program and its arguments. Whoever starts it holds the other end of its
#: standard input: when that end closes, be it by the kernel after a SIGKILL, the program and what
#: it started is killed (0: this process group). In a container the script is the first process,
#: which such a signal spares, and whose end is the container's.
WATCHDOG = (
    'exec 3<&0; "$@" </dev/null & program=$!; '
    "{ cat <&3 >/dev/null; kill -9 0; } >/dev/null 2>&1 & "
    "wait $program; code=$?; kill -9 $! 2>/dev/null; exit $code"
)
#: exit code of a program that SIGKILL ended, as a shell tells it
KILLED = 137
#: how much of a program's output is kept, bytes
LOG_BYTES = 8192
#: seconds that a killed program has to go
GRACE = 20.0


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit code; 137 where it was killed.
        log: the end of what it printed.
        timed_out: it ran past its limit and was killed for it.
        seconds: how long it ran.
    """

    code: int
    log: str
    timed_out: bool
    seconds: float


def run_watched(
    command: Sequence[str],
    seconds: float,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a command whose program stands under ``WATCHDOG``; its output goes to ``log``.

    However this call ends, the program is told to end.
    """
    started = time.monotonic()
    timed_out = False
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            # a Ctrl-C in the terminal is ours to handle
            start_new_session=True,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    killed = process.returncode == -signal.SIGKILL
    return Finished(
        KILLED if killed else process.returncode, tail(log), timed_out, time.monotonic() - started
    )


def tail(log: Path) -> str:
    """The end of a log file as text."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_BYTES))
        return file.read().decode(errors="replace")
