"""A running container that waits for clips: one process per clip, one clip at a time."""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from features.openface.backend import (
    INPUTS,
    OUTPUTS,
    Call,
    arguments,
    confined,
    container_name,
    mount,
)
from features.openface.errors import NoEngine
from features.openface.process import GRACE, Finished, Tail, run_watched

log = logging.getLogger(__name__)

#: seconds for a question to the engine, and until a container stands
ANSWER, START = 20.0, 60.0
#: clips after which a container makes room for another: what programs leave in it doesn't pile up
CLIPS = 32
#: bytes of a file that is rather mounted into a container of its own than copied
LARGE = 256 * 2**20
#: first process of a container: says that it stands, and ends, and with it all others, when its
#: standard input does
HOLD = "echo ready; while read -r line; do :; done"
READY = b"ready\n"
#: runs one clip's program: where its exit code goes, the file that it reads, the command. That
#: the code stands in its file tells the program's end from the engine's.
RUN = (
    'code=$1; media=$2; shift 2; : > "$code" || exit 1; '
    '[ -r "$media" ] || { echo "the file can\'t be read in the container"; exit 1; }; '
    'exec 3<&0; "$@" </dev/null 3<&- & program=$!; '
    "{ cat <&3 >/dev/null; kill -9 -1; } >/dev/null 2>&1 & "
    'wait $program; ended=$?; echo $ended > "$code"; '
    # what the program left behind, also in the only other place where it may write
    "kill -9 -1 2>/dev/null; wait 2>/dev/null; rm -rf /tmp/* /tmp/.[!.]*; exit $ended"
)
#: exit code's file, in the folder that the program writes to
CODE = ".code"


class NoShell(NoEngine):
    """The image has no ``/bin/sh``."""


class Container:
    """Stands until ``close``, or until the process that started it ends, however that ends."""

    def __init__(self, image: str, call: Call) -> None:
        """Start it, for this and for further calls with the same place and memory.

        Raises:
            NoEngine: the engine can't; NoShell: nor could it, in this way.
        """
        self.place, self.memory, self.clips = call.place, call.memory, 0
        self.sole = call.media.stat().st_size > LARGE
        self._name = container_name()
        try:
            self._process = subprocess.Popen(
                self._command(image, call.media if self.sole else None, call.inside),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NoEngine(f"docker can't be started on this machine ({error})") from error
        try:
            self._wait_until_ready(image)
        except BaseException:
            self.close()
            raise

    def fits(self, call: Call) -> bool:
        """It may run this call, too."""
        same = (self.place, self.memory) == (call.place, call.memory)
        large = self.sole or call.media.stat().st_size > LARGE
        return same and not large and self.clips < CLIPS and self._process.poll() is None

    def run(self, call: Call, folder: str) -> Finished:
        """Run a program of the image's ``folder``.

        Raises:
            NoEngine: the engine or the container ended before the program.
        """
        self.clips += 1
        inside = f"/media/{call.inside}" if self.sole else f"/input/{call.inside}"
        out = f"/output/{call.out.relative_to(call.place / OUTPUTS)}"
        given = call.place / INPUTS / call.inside
        if not self.sole:
            _give(call.media, given)
        words = [f"{out}/{CODE}", inside, f"{folder}/{call.program}"]
        command = [
            *("docker", "exec", "--interactive", self._name, "/bin/sh", "-c", RUN, "sh"),
            *(*words, *arguments(call, inside, out)),
        ]
        try:
            done = run_watched(command, call.seconds, overfull=call.limit.overfull)
        finally:
            given.unlink(missing_ok=True)
        code = _text(call.out / CODE).strip()
        (call.out / CODE).unlink(missing_ok=True)
        if code or done.stopped:
            return done
        raise NoEngine(
            f"{call.media.name}: the container ended before {call.program} did, or couldn't start "
            f"it: {_first_line(done.log)}",
            log=done.log,
        )

    def close(self) -> None:
        """It is gone afterwards."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            if self._process.wait(GRACE) == 0:
                return
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(NoEngine):
            docker("rm", "--force", self._name)

    def _command(self, image: str, media: Path | None, inside: str) -> list[str]:
        given, made = self.place / INPUTS, self.place / OUTPUTS
        mounts = [mount(given, "/input", "readonly"), mount(made, "/output")]
        if media is not None:
            mounts.append(mount(media, f"/media/{inside}", "readonly"))
        return [
            *("docker", "run", "--interactive", *confined(self._name, self.memory)),
            *(word for one in mounts for word in ("--mount", one)),
            *("--entrypoint", "/bin/sh", image, "-c", HOLD),
        ]

    def _wait_until_ready(self, image: str) -> None:
        out = self._process.stdout
        assert out is not None
        heard, until = b"", time.monotonic() + START
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            # the engine may have warnings of its own to say first
            while not heard.endswith(READY):
                left = until - time.monotonic()
                read = os.read(out.fileno(), 4096) if selector.select(max(0.0, left)) else b""
                if not read:
                    break
                heard += read
        if heard.endswith(READY):
            Tail(out)
            return
        out.close()
        said = heard.decode(errors="replace") or f"no answer within {START:g} s"
        unseen = "bind source path does not exist" in said
        hint = "; set TMPDIR to a folder that the engine can see" if unseen else ""
        no_shell = '"/bin/sh"' in said and "no such file" in said
        problem = NoShell if no_shell else NoEngine
        raise problem(f"docker couldn't run {image}: {_first_line(said)}{hint}", log=said)


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask the engine.

    Raises:
        NoEngine: it doesn't answer.
    """
    try:
        return subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=ANSWER, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoEngine(
            f"the container engine gave no answer within {ANSWER:g} s; start it again"
        ) from error


def _give(media: Path, given: Path) -> None:
    """Put the file where a container that stands can see it, since mounts can't be added later,
    and its whole folder is none of the program's: a second name for our own file, else a copy."""
    given.unlink(missing_ok=True)
    try:
        if media.stat().st_uid == os.getuid():
            os.link(media, given)
            return
    except OSError:
        log.debug("%s has no second name on another disk: copied", media)
    shutil.copyfile(media, given)


def _first_line(said: str) -> str:
    lines: Sequence[str] = said.strip().splitlines()
    return lines[0] if lines else "no reason given"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
