"""OpenFace as a program on this machine."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from features.media.probe import sha256_file
from features.openface.backend import ENVIRONMENT, INPUTS, Call, arguments
from features.openface.process import WATCHDOG, Finished, run_watched
from features.openface.settings import PREFIX, Settings

MAIN_PROGRAM = "FeatureExtraction"


class Binary:
    """Runs ``AFFECTSTORE_OPENFACE_BINARY``; its other programs lie beside it."""

    killer = "for want of memory; run fewer workers, or where there is more"

    def __init__(self, settings: Settings) -> None:
        self._path = Path(settings.binary or MAIN_PROGRAM).absolute()

    def key(self) -> str:
        """The sha256 of FeatureExtraction."""
        return "binary " + file_key(self._path)

    def unavailable(self) -> str | None:
        """It must be a file that may be executed, and see two processors."""
        if not (self._path.is_file() and os.access(self._path, os.X_OK)):
            return f"{PREFIX}BINARY={self._path} is no program; set it to FeatureExtraction's path"
        return too_few_processors(visible_processors())

    def run(self, call: Call) -> Finished:
        """Under the watchdog and the limits of time and space; the system's hold for the rest."""
        program = self._path.parent / call.program
        if call.program == MAIN_PROGRAM:
            program = self._path
        named = call.place / INPUTS / call.inside
        named.unlink(missing_ok=True)
        named.symlink_to(call.media)
        words = [str(program), *arguments(call, str(named), str(call.out))]
        return run_watched(
            ["/bin/sh", "-c", WATCHDOG, "sh", *words],
            call.seconds,
            environment={**os.environ, **ENVIRONMENT},
            overfull=call.limit.overfull,
        )

    def close(self) -> None:
        """Nothing is kept."""


def file_key(path: Path) -> str:
    """A file's sha256, computed again only if its size or time changed; ``missing`` if none."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return _hash(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _hash(path: str, size: int, mtime_ns: int) -> str:
    return sha256_file(path)


def visible_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def too_few_processors(seen: int) -> str | None:
    """OpenFace waits for ever where it sees one processor only."""
    if seen >= 2:
        return None
    return "OpenFace hangs where it sees one processor; run it where there are two or more"
