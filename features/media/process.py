"""One running ffmpeg: started without a shell, read without threads, always reaped."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from features.errors import DecodeFailed, DecoderKilled, DecodeStalled, ToolMissing
from features.media.programs import SETTING

#: how much of ffmpeg's own messages is kept, in bytes
LOG_TAIL = 16_384

#: bytes asked of the system for the pipe of decoded data, so that ffmpeg can work ahead while
#: we compute; where the system says no, its own default
PIPE_BYTES = 1 << 20

#: what stands in a command line for the address of the pipe for times
TIMES = "{times}"

_READ = 65_536

#: what ffmpeg says of a codec for which it has no decoder of its own; PNG and AV1, for example,
#: need libraries that not every build has
_NO_DECODER = re.compile(r"no decoder found for: (\w+)|support hardware accelerated (\w+) decoding")

#: signals by which others end a process; what a program dies of by itself is none of them
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
#: with which ffmpeg stops if it gets one that it can catch
_CAUGHT = 255


class FFmpeg:
    """An ffmpeg process with three pipes: decoded data, frame times, messages.

    The thread that waits for one of them takes in times and messages meanwhile, so that ffmpeg
    never waits on a pipe that nobody reads.

    Args:
        command: the command line; an argument ``TIMES`` becomes the address of the times' pipe.
        name: the medium's name, for messages; may be changed.
        stall: seconds without a sign of life after which ffmpeg is given up.
    """

    def __init__(self, command: Sequence[str], *, name: str, stall: float) -> None:
        self.name, self._stall = name, stall
        self._log, self._lines = bytearray(), bytearray()
        pipes = [os.pipe() for _ in range(3)]
        self._data, self._times, self._messages = (reader for reader, _ in pipes)
        data, times, messages = (writer for _, writer in pipes)
        self._open = {self._data, self._times, self._messages}
        try:
            self._process = subprocess.Popen(
                [f"pipe:{times}" if part == TIMES else part for part in command],
                stdin=subprocess.DEVNULL,
                stdout=data,
                stderr=messages,
                pass_fds=(times,),
                env={k: v for k, v in os.environ.items() if k != "FFREPORT"},
                # A Ctrl-C at the terminal is ours to handle: an ffmpeg that gets it too stops
                # early, as if the file were short.
                process_group=0,
            )
        except OSError as error:
            self._close_pipes()
            raise ToolMissing(f"{command[0]} can't be started ({error.strerror})") from error
        except BaseException:
            self._close_pipes()
            raise
        finally:
            for _, writer in pipes:
                os.close(writer)
        _widen(self._data)
        for pipe in self._open:
            os.set_blocking(pipe, False)

    def __enter__(self) -> FFmpeg:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def log(self) -> str:
        """The last of what ffmpeg said so far."""
        return self._log.decode("utf-8", "replace")

    def read_into(self, target: memoryview) -> int:
        """Fill ``target`` with decoded data; fewer bytes only where the data stops."""
        filled = 0
        while filled < len(target) and self._data in self._open:
            try:
                count = os.readv(self._data, [target[filled:]])
            except BlockingIOError:
                self._wait(self._data)
                continue
            filled += count
            if count == 0:
                self._open.discard(self._data)
        return filled

    def read_line(self) -> str | None:
        """The next line from the pipe for times, None at its end."""
        while (stop := self._lines.find(b"\n")) < 0:
            if self._times not in self._open:
                return None
            self._wait(self._times)
        line = self._lines[:stop].decode("ascii", "replace")
        del self._lines[: stop + 1]
        return line

    def lines_so_far(self) -> list[str]:
        """The lines that the pipe for times holds now; waits for none."""
        while self._times in self._open:
            try:
                self._take(self._times, self._lines)
            except BlockingIOError:
                break
        whole, _, rest = self._lines.rpartition(b"\n")
        self._lines = bytearray(rest)
        return whole.decode("ascii", "replace").splitlines()

    def finish(self) -> int:
        """Wait for ffmpeg's own end; the number of bytes of data that nobody had read.

        Raises:
            DecodeFailed: it stopped with an error, or didn't stop.
            DecoderKilled: it was ended by somebody else.
        """
        scratch, left = memoryview(bytearray(_READ)), 0
        while count := self.read_into(scratch):
            left += count
        while self._open:
            self._wait(next(iter(self._open)))
        try:
            code = self._process.wait(timeout=self._stall)
        except subprocess.TimeoutExpired as error:
            raise self._stalled() from error
        if killed(code):
            raise DecoderKilled(
                f"{self.name}: ffmpeg was ended from outside ({_in_words(code)}), as the system "
                "does it when memory runs out; with fewer workers each has more",
                log=self.log,
            )
        if code != 0:
            if lacks := _NO_DECODER.search(self.log):
                raise DecodeFailed(
                    f"{self.name}: the ffmpeg in use can't decode {lacks[1] or lacks[2]}; name one "
                    f"that can by {SETTING} (system, or its path) and affectstore retry, or "
                    "convert the file",
                    log=self.log,
                )
            raise DecodeFailed(
                f"{self.name}: ffmpeg stopped with {_in_words(code)}: {self._last_message()}; "
                "look whether the file plays, convert it, or take it out of the corpus",
                log=self.log,
            )
        return left

    def close(self) -> None:
        """Kill ffmpeg if it still runs, reap it, close the pipes; may be called twice."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._close_pipes()

    def _wait(self, wanted: int) -> None:
        """Return when the wanted pipe has something; take in times and messages meanwhile."""
        deadline = time.monotonic() + self._stall
        poll = select.poll()
        for pipe in self._open & {wanted, self._times, self._messages}:
            poll.register(pipe, select.POLLIN)
        while True:
            ready = {pipe for pipe, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
            if not ready:
                raise self._stalled()
            if self._messages in ready:
                self._take(self._messages, self._log)
                del self._log[:-LOG_TAIL]
            if self._times in ready:
                self._take(self._times, self._lines)
            if wanted in ready:
                return
            for pipe in ready - self._open:
                poll.unregister(pipe)

    def _take(self, pipe: int, into: bytearray) -> None:
        piece = os.read(pipe, _READ)
        into += piece
        if not piece:
            self._open.discard(pipe)

    def _close_pipes(self) -> None:
        for pipe in (self._data, self._times, self._messages):
            if pipe >= 0:
                os.close(pipe)
        self._data = self._times = self._messages = -1
        self._open.clear()

    def _stalled(self) -> DecodeStalled:
        return DecodeStalled(
            f"{self.name}: ffmpeg did nothing for {self._stall:g} s and was stopped; "
            "look whether the file plays, and whether its disk or share answers",
            log=self.log,
        )

    def _last_message(self) -> str:
        lines = self.log.strip().splitlines()
        return lines[-1] if lines else "no message"


def killed(code: int) -> bool:
    """An exit status that says that somebody else ended the program."""
    return -code in _FROM_OUTSIDE or code == _CAUGHT


def _in_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _widen(pipe: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return
