"""OpenFace in Docker containers: no network, nothing to write but a folder of our own."""

from __future__ import annotations

import json
import os
import shutil
import time
from functools import lru_cache

from features.openface.backend import Call
from features.openface.bare import Bare
from features.openface.binary import too_few_processors
from features.openface.container import Container, NoShell, docker
from features.openface.errors import NoEngine
from features.openface.process import Finished
from features.openface.settings import BIN_FOLDER, PREFIX, Settings

#: seconds for which an answer holds
REMEMBERED = 5.0


class Docker:
    """One container for successive clips, one process per clip, through the docker command; for
    an image without a shell, a container per clip."""

    def __init__(self, settings: Settings) -> None:
        self._image, self._folder = settings.image, settings.folder
        self._container: Container | None = None
        self._bare: Bare | None = None
        self.killer = f"by the memory limit of {settings.memory}; raise {PREFIX}MEMORY"

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
        """In the container that stands, or in a fresh one; after a clip that went wrong the next
        one gets a fresh one, too.

        Raises:
            NoEngine: the engine couldn't.
        """
        if self._container is not None and not self._container.fits(call):
            self.close()
        if self._bare is None and self._container is None:
            try:
                self._container = Container(self._image, call)
            except NoShell:
                self._bare = Bare(self._image, self._folder)
        if self._bare is not None:
            return self._bare.run(call)
        assert self._container is not None
        done: Finished | None = None
        try:
            done = self._container.run(call, self._folder)
        finally:
            if done is None or done.stopped or done.code:
                self.close()
        return done

    def close(self) -> None:
        """The container ends."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

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
        asked = docker("image", "inspect", image)
    except NoEngine as error:
        return "", str(error)
    if asked.returncode == 0:
        return str(json.loads(asked.stdout)[0]["Id"]), ""
    return "", refused(image, asked.stderr)


def refused(image: str, said: str) -> str:
    """What an engine's refusal to show an image means for whom it concerns."""
    if "no such image" in said.lower():
        return (
            f"the container engine hasn't the image; docker pull {image} (see "
            "containers/openface/README.md), or use facemesh_714"
        )
    if "permission denied" in said.lower():
        return (
            "the container engine refuses this user (permission denied on its socket); be added "
            "to the group docker and log in again, or use Apptainer or a program (see "
            "containers/openface/README.md), or use facemesh_714"
        )
    return _no_engine(image)


def _no_engine(image: str) -> str:
    return (
        f"no container engine and no binary; get Docker or Apptainer and the image {image}, or "
        "set AFFECTSTORE_OPENFACE_BINARY (see containers/openface/README.md), or use facemesh_714"
    )
