"""Starts a docker daemon with its own folders and socket, without bridge and iptables."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
IMAGE = "affectstore-test-openface"
#: seconds until the engine answers
START = 30.0


class NoDaemon(Exception):
    """Why no engine can run here."""


@dataclass(frozen=True)
class Engine:
    """A docker daemon of our own."""

    socket: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def docker(self, *words: object, check: bool = True) -> str:
        """The output of a docker command."""
        done = subprocess.run(
            ["docker", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def build(self, folder: Path, tag: str = IMAGE) -> str:
        """Build the image of a folder without a network; its id."""
        return self.docker("build", "--quiet", "--network", "none", "--tag", tag, folder)

    def created(self, since: float) -> int:
        """How many containers were made since then, in seconds of the epoch."""
        words = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}")
        told = self.docker("events", *words, "--filter", "event=create", "--format", "{{.ID}}")
        return len(told.split())

    def containers(self) -> list[str]:
        """Ids of all containers, running or not."""
        return self.docker("ps", "--all", "--quiet").split()


def _lacking() -> str | None:
    if os.name != "posix" or os.geteuid() != 0:
        return "a container engine needs root here"
    missing = [name for name in ("dockerd", "docker") if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} isn't there (apt-get install docker.io)"
    if not _is_static(BUSYBOX):
        return "no static busybox (apt-get install busybox-static)"
    return None


def _is_static(program: Path) -> bool:
    """An ELF file that names no interpreter."""
    return program.is_file() and b"ld-linux" not in program.read_bytes()[:8192]


@contextmanager
def daemon() -> Iterator[Engine]:
    """A running engine; it and all that it made are gone afterwards.

    Raises:
        NoDaemon: none can run here.
    """
    lacking = _lacking()
    if lacking:
        raise NoDaemon(lacking)
    # a socket's path may have 107 characters
    root = Path(tempfile.mkdtemp(prefix="of", dir="/tmp"))
    socket = root / "s"
    environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0"}
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("dockerd", "--host", f"unix://{socket}", "--pidfile", str(root / "pid")),
                *("--data-root", str(root / "data"), "--exec-root", str(root / "exec")),
                *("--storage-driver", "overlay2", "--bridge=none"),
                *("--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = Engine(socket, environment, process)
    try:
        deadline = time.monotonic() + START
        while not started.docker("version", "--format", "{{.Server.Version}}", check=False):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (root / "log").read_text(errors="replace").strip().splitlines()[-1:]
                raise NoDaemon(f"dockerd doesn't start here: {said}")
            time.sleep(0.1)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(root, ignore_errors=True)
