"""Fixtures that every test may use."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from features.openface.settings import PREFIX
from tests.real_clips import BASIC, COMMAND, SHORT, Cli, linked

if TYPE_CHECKING:
    from tests.containers.replay import Programs

# a command that a test starts would else compile all of our modules, each time anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# tests kill processes, and none cuts the power: what was written is there without a disk
os.fsync = lambda _: None

SHARED = Path(os.environ.get("AFFECTSTORE_SHARED", Path(__file__).parents[1] / ".." / "shared"))
MEDIA = (SHARED / "media").resolve()


# a busy machine is slow at everything, which is no fault of a test's
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

#: seconds that a test of ``make test-long`` may take
LONG = 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what reads the real clips where they are missing, and say so; long tests get long."""
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.timeout(LONG))
    if MEDIA.is_dir():
        return
    skip = pytest.mark.skip(reason="the real clips (../shared/media) are not here")
    for item in items:
        if "media" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder with the real clips."""
    return MEDIA


@pytest.fixture(scope="session", autouse=True)
def _fixed_threads() -> None:
    """The thread count of every runner, so that numbers are those of a run."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Run affectstore; ``code`` is the expected exit code, ``within`` the seconds it may take."""

    def run(
        *words: object, code: int = 0, within: float = 280, **env: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=within,
            env={**os.environ, **env},
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def facts(cli: Cli) -> Callable[..., Any]:
    """Run affectstore with --json; the facts."""
    return lambda *words, code=0: json.loads(cli(*words, "--json", code=code).stdout)


@pytest.fixture(scope="session")
def short_media(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the short real clips."""
    return linked(media, tmp_path_factory.mktemp("media"), SHORT)


@pytest.fixture(scope="session")
def real_store(short_media: Path, tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    """The short real clips with the basic features, by the plain runner; not to be changed.

    pytest-xdist's workers share it: the first one that needs it makes it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real"
    folder.mkdir(exist_ok=True)
    root, made = folder / "store", folder / "made"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            cli("ingest", short_media, "--store", root, "--corpus", "real")
            cli("extract", "--store", root, "--features", BASIC, "--no-prefect")
            made.touch()
    return root


@pytest.fixture
def a02(media: Path) -> Path:
    """The clip that OpenFace's stand-ins replay."""
    from tests.containers.replay import A02

    return media / f"{A02}.mp4"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """OpenFace's stand-ins, the binary that is called among them."""
    from tests.containers.replay import Programs

    made = Programs.make(tmp_path / "bin")
    monkeypatch.setenv(f"{PREFIX}BINARY", str(made.binary))
    return made
