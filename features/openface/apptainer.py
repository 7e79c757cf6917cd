"""OpenFace in an Apptainer (Singularity) container, where a cluster has no Docker."""

from __future__ import annotations

import shutil
from pathlib import Path

from features.openface.backend import ENVIRONMENT, Call, arguments, mount
from features.openface.binary import file_key, too_few_processors, visible_processors
from features.openface.process import WATCHDOG, Finished, run_watched
from features.openface.settings import BIN_FOLDER, PREFIX, Settings

#: names of the command, the newer one first
COMMANDS = ("apptainer", "singularity")


class Apptainer:
    """Runs the image file ``AFFECTSTORE_OPENFACE_SIF``."""

    killer = "by the job's memory limit; ask for more memory, or run fewer workers"

    def __init__(self, settings: Settings) -> None:
        self._sif, self._folder = Path(settings.sif or "openface.sif").absolute(), settings.folder

    def key(self) -> str:
        """The sha256 of the image file."""
        folder = "" if self._folder == BIN_FOLDER else f" {self._folder}"
        return f"sif {file_key(self._sif)}{folder}"

    def unavailable(self) -> str | None:
        """The command and the image file must be there."""
        if _command() is None:
            return "the command apptainer isn't there; load its module, or use facemesh_714"
        if not self._sif.is_file():
            return (
                f"{PREFIX}SIF={self._sif} isn't there; build it (containers/openface/README.md), "
                "or use facemesh_714"
            )
        return too_few_processors(visible_processors())

    def run(self, call: Call) -> Finished:
        """``apptainer exec`` with nothing of the host but the file and the output folder.

        Memory and processes are limited by the cluster's job, since only root may set more.
        """
        return run_watched(self.command(call), call.seconds, overfull=call.limit.overfull)

    def close(self) -> None:
        """Nothing is kept."""

    def command(self, call: Call) -> list[str]:
        """The whole command line."""
        inside = f"/input/{call.inside}"
        threads = [word for k, v in ENVIRONMENT.items() for word in ("--env", f"{k}={v}")]
        return [
            *(_command() or COMMANDS[0], "exec", "--containall", "--cleanenv", "--no-home"),
            *("--net", "--network", "none", "--no-privs", "--drop-caps", "all"),
            *threads,
            *("--mount", mount(call.media, inside, "ro")),
            *("--mount", mount(call.out, "/output")),
            *(str(self._sif), "/bin/sh", "-c", WATCHDOG, "sh", f"{self._folder}/{call.program}"),
            *arguments(call, inside, "/output"),
        ]


def _command() -> str | None:
    return next(filter(None, map(shutil.which, COMMANDS)), None)
