"""Runs a program within limits of time and space so that it never outlives who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Literal

from features.stopping import check_stop

#: shell script, then the program and its arguments. Whoever starts it holds the other end of its
#: standard input: when that end closes, be it by the kernel after a SIGKILL, the program and what
#: it started is killed (0: this process group).
WATCHDOG = (
    'exec 3<&0; "$@" </dev/null 3<&- & program=$!; '
    "{ cat <&3 >/dev/null; kill -9 0; } >/dev/null 2>&1 & "
    "wait $program; code=$?; kill -9 $! 2>/dev/null; exit $code"
)
#: exit code of a program that SIGKILL ended, as a shell tells it
KILLED = 137
#: how much of a program's output is kept, bytes
LOG_BYTES = 8192
#: seconds that a killed program has to go
GRACE = 20.0
#: seconds between two looks at a running program
LOOK = 0.1

Stopped = Literal["", "time", "space"]


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit code; 137 where it was killed.
        log: the end of what it printed.
        stopped: the limit for which it was killed, if it was.
        seconds: how long it ran.
    """

    code: int
    log: str
    stopped: Stopped
    seconds: float


class Tail(threading.Thread):
    """Reads all that a program prints and keeps the end; alive as long as it may print more."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(name="openface-log", daemon=True)
        self._pipe, self._kept = pipe, b""
        self.start()

    def run(self) -> None:
        """Until the last process that can print is gone."""
        with suppress(OSError, ValueError), self._pipe:
            while read := os.read(self._pipe.fileno(), 65536):
                self._kept = (self._kept + read)[-LOG_BYTES:]

    @property
    def text(self) -> str:
        """The end of what was printed so far."""
        return self._kept.decode(errors="replace")


def run_watched(
    command: Sequence[str],
    seconds: float,
    *,
    environment: Mapping[str, str] | None = None,
    overfull: Callable[[], bool] = lambda: False,
) -> Finished:
    """Run a command whose program ends when its standard input does, as under ``WATCHDOG``.

    However this call ends, the program and what it started in its process group is gone.

    Args:
        overfull: asked now and then; True stops the program.

    Raises:
        Stopped: the run was asked to stop; so was the program.
    """
    started = time.monotonic()
    stopped: Stopped = ""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if environment is None else dict(environment),
        # a Ctrl-C in the terminal is ours to handle
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    log = Tail(process.stdout)
    try:
        while not stopped and process.poll() is None:
            check_stop()
            if time.monotonic() - started > seconds:
                stopped = "time"
            elif overfull():
                stopped = "space"
            else:
                log.join(LOOK)
                if not log.is_alive():
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(LOOK)
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        # children that it left behind, too
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.join(LOOK)
    code = KILLED if process.returncode == -signal.SIGKILL else process.returncode
    return Finished(code, log.text, stopped, time.monotonic() - started)


class Space:
    """A limit on what a folder may hold, looked at so seldom that looking costs little."""

    #: share of the time that may go into looking
    SHARE = 0.05

    def __init__(self, folder: os.PathLike[str], most: float) -> None:
        self._folder, self._most, self._next = folder, most, 0.0

    def overfull(self) -> bool:
        """It holds more bytes, as of now or of a moment ago."""
        began = time.monotonic()
        if began < self._next:
            return False
        over = _bytes_in(self._folder) > self._most
        now = time.monotonic()
        self._next = now + max(LOOK, (now - began) / self.SHARE)
        return over


def _bytes_in(folder: os.PathLike[str] | str) -> int:
    """Of all files below; what vanishes meanwhile counts nothing."""
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += _bytes_in(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
