"""OpenFace in a Docker container: no network, nothing to write but its own folder."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import shutil
import subprocess
import time
from functools import lru_cache
from pathlib import Path

from features.openface.backend import ONE_THREAD, Call, arguments
from features.openface.binary import too_few_processors
from features.openface.errors import NoEngine
from features.openface.process import WATCHDOG, Finished, run_watched
from features.openface.settings import BIN_FOLDER, Settings

#: label of every container of ours, for a look with ``docker ps --filter label=…``
LABEL = "affectstore.openface"
#: processes and threads in one container
PIDS = 256
#: exit code of ``docker run`` where the engine failed, not the program
ENGINE_FAILED = 125
#: seconds for a question to the engine
ANSWER = 20.0
#: seconds for which an answer holds
REMEMBERED = 5.0


class Docker:
    """One container per clip, through the docker command."""

    def __init__(self, settings: Settings) -> None:
        self._image, self._folder = settings.image, settings.folder

    def key(self) -> str:
        """The image's digest, or its id where it is named without one."""
        _, at, digest = self._image.partition("@")
        found = digest if at else self._id()
        return f"image {found}" + ("" if self._folder == BIN_FOLDER else f" {self._folder}")

    def unavailable(self) -> str | None:
        """The engine must answer and have the image; nothing is pulled."""
        try:
            image_id(self._image)
        except NoEngine as error:
            return str(error)
        # a container sees the machine's processors, whatever this process may use
        return too_few_processors(os.cpu_count() or 1)

    def run(self, call: Call) -> Finished:
        """``docker run`` under the limits; the container is gone afterwards.

        Raises:
            NoEngine: the engine couldn't start it.
        """
        name = f"affectstore-openface-{os.getpid()}-{secrets.token_hex(4)}"
        done: Finished | None = None
        try:
            done = run_watched(self._command(name, call), call.seconds, call.log)
        finally:
            if done is None or done.timed_out or done.code == ENGINE_FAILED:
                _docker("rm", "--force", name)
        if done.code == ENGINE_FAILED and not done.timed_out:
            raise NoEngine(
                f"{call.media.name}: docker couldn't run {self._image}: "
                f"{done.log.strip().splitlines()[0] if done.log.strip() else 'no reason given'}",
                log=done.log,
            )
        return done

    def _command(self, name: str, call: Call) -> list[str]:
        inside = f"/input/clip{call.media.suffix}"
        limits = ["--memory", call.memory, "--memory-swap", call.memory, "--pids-limit", str(PIDS)]
        threads = [word for k, v in ONE_THREAD.items() for word in ("--env", f"{k}={v}")]
        mounts = [
            *("--mount", _mount(call.media, inside, readonly=True)),
            *("--mount", _mount(call.out, "/output", readonly=False)),
        ]
        return [
            *("docker", "run", "--interactive", "--rm", "--name", name, "--label", LABEL),
            *("--pull", "never", "--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--ulimit", "core=0"),
            *limits,
            *threads,
            *mounts,
            *("--entrypoint", "/bin/sh", self._image, "-c", WATCHDOG, "sh"),
            f"{self._folder}/{call.program}",
            *arguments(call, inside, "/output"),
        ]

    def _id(self) -> str:
        try:
            return image_id(self._image)
        except NoEngine:
            return self._image


def image_id(image: str) -> str:
    """The engine's id of an image that it has.

    Raises:
        NoEngine: no engine answers, or it hasn't the image; the message says what to do.
    """
    told = (os.environ.get("DOCKER_HOST", ""), os.environ.get("DOCKER_CONTEXT", ""))
    found, problem = _ask(image, *told, int(time.monotonic() // REMEMBERED))
    if problem:
        raise NoEngine(problem)
    return found


@lru_cache(maxsize=16)
def _ask(image: str, host: str, context: str, tick: int) -> tuple[str, str]:
    """The id, or else what is wrong; a plan asks this several times within a second."""
    if shutil.which("docker") is None:
        return "", _no_engine(image)
    try:
        asked = _docker("image", "inspect", image)
    except NoEngine as error:
        return "", str(error)
    if asked.returncode == 0:
        return str(json.loads(asked.stdout)[0]["Id"]), ""
    if "No such image" in asked.stderr:
        return "", (
            f"the container engine hasn't the image; docker pull {image} (see "
            "containers/openface/README.md), or use facemesh_714"
        )
    return "", _no_engine(image)


def _no_engine(image: str) -> str:
    return (
        f"no container engine and no binary; get Docker or Apptainer and the image {image}, or "
        "set AFFECTSTORE_OPENFACE_BINARY (see containers/openface/README.md), or use facemesh_714"
    )


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=ANSWER, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoEngine(
            f"the container engine gave no answer within {ANSWER:g} s; start it again"
        ) from error


def _mount(source: Path, target: str, *, readonly: bool) -> str:
    """A value for ``--mount``, which is read as a line of CSV: a path may hold commas."""
    fields = ["type=bind", f"src={source}", f"dst={target}", *(["readonly"] if readonly else [])]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
