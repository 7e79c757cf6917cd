"""A real container engine of our own, and the test image in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from features.openface.settings import PREFIX
from tests.containers.daemon import BUSYBOX, IMAGE, Engine, NoDaemon, daemon
from tests.containers.replay import STANDIN, Programs


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A docker daemon that only these tests use."""
    try:
        with daemon() as started:
            yield started
    except NoDaemon as reason:
        pytest.skip(f"no container engine: {reason}")


@dataclass(frozen=True)
class TestImage:
    """The test image's folder; ``build`` it once its programs have what they replay."""

    __test__ = False

    engine: Engine
    folder: Path
    programs: Programs

    def leave_shell_out(self) -> None:
        """The image will have no ``/bin/sh``; the stand-in is started by busybox itself."""
        with (self.folder / "Dockerfile").open("a") as file:
            file.write('RUN ["/bin/busybox", "rm", "/bin/sh"]\n')
        for program in (self.programs.binary, self.programs.folder / "FaceLandmarkVidMulti"):
            text = program.read_text()
            program.write_text(text.replace("#!/bin/sh", "#!/bin/busybox sh", 1))

    def build(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """Build it and make it OpenFace's; its id."""
        monkeypatch.setenv("DOCKER_HOST", self.engine.environment["DOCKER_HOST"])
        monkeypatch.setenv(f"{PREFIX}IMAGE", IMAGE)
        found = self.engine.build(self.folder)
        monkeypatch.setenv(f"{PREFIX}IMAGE", found)
        return found


@pytest.fixture
def image(engine: Engine, tmp_path: Path) -> TestImage:
    """An image around the stand-in."""
    folder = tmp_path / "image"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "bin" / "busybox")
    shutil.copy(STANDIN / "Dockerfile", folder)
    return TestImage(engine, folder, Programs.make(folder / "programs"))
