"""One run of OpenFace on one clip's file, and what can be said of how it went."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from features.media.media import Media
from features.openface.backend import OUTPUT, Call, backend
from features.openface.errors import Crashed, NoOutput, OutOfMemory, TimedOut
from features.openface.process import KILLED, Finished
from features.openface.settings import NOTICE, PREFIX, Settings, read_settings
from features.openface.slots import slot
from features.openface.workdir import work_folder

log = logging.getLogger(__name__)
T = TypeVar("T")

#: all that there is to write: the 714 columns, and aligned faces without a mask
OPTIONS = (
    *("-2Dfp", "-3Dfp", "-pdmparams", "-pose", "-gaze", "-aus"),
    *("-simalign", "-simsize", "112", "-nomask"),
)
#: landmark models that come with OpenFace, by the names of their files
MODELS = {
    "clm": "model/main_clm_general.txt",
    "clnf": "model/main_clnf_general.txt",
    "ceclm": "model/main_ceclm_general.txt",
}
#: the programs for one face and for several
SINGLE_PROGRAM, MULTI_PROGRAM = "FeatureExtraction", "FaceLandmarkVidMulti"
_told = False


def run_openface(
    media: Media, duration: float, program: str, model: str, read: Callable[[Path], T]
) -> T:
    """Run one of OpenFace's programs on the whole file, then ``read`` the CSV that it wrote.

    Args:
        duration: the file's seconds; the time limit follows from it.
        model: ``default`` for the program's own, or a name in ``MODELS``.
        read: called with the path of the CSV while it and the faces beside it are there.

    Raises:
        TimedOut, OutOfMemory, Crashed, NoOutput: it went wrong; the log has what it printed.
        NoEngine: it couldn't be started.
    """
    tell_licence()
    settings = read_settings()
    chosen = ("-mloc", MODELS[model]) if model in MODELS else ()
    with work_folder() as folder:
        out = folder / "out"
        out.mkdir()
        call = Call(
            program=program,
            media=Path(media.path).resolve(),
            out=out,
            log=folder / "log",
            options=(*OPTIONS, *chosen),
            seconds=settings.limit(duration),
            memory=settings.memory,
        )
        with slot():
            done = backend(settings).run(call)
        table = out / f"{OUTPUT}.csv"
        _judge(media.name, call, settings, done, table)
        return read(table)


def _judge(name: str, call: Call, settings: Settings, done: Finished, table: Path) -> None:
    if done.timed_out:
        raise TimedOut(
            f"{name}: {call.program} was still running after {call.seconds:.0f} s and was "
            f"stopped; try again, or raise {PREFIX}SECONDS or {PREFIX}FACTOR",
            log=done.log,
        )
    if done.code == KILLED:
        raise OutOfMemory(
            f"{name}: {call.program} was killed after {done.seconds:.0f} s, most likely by the "
            f"memory limit of {settings.memory}; raise {PREFIX}MEMORY",
            log=done.log,
        )
    if done.code:
        raise Crashed(
            f"{name}: {call.program} ended with code {done.code}; the log has what it printed: "
            "affectstore failures",
            log=done.log,
        )
    if not table.is_file():
        raise NoOutput(
            f"{name}: {call.program} ended well (code 0) but wrote no CSV, as it does for files "
            "that it can't open; re-encode the video to H.264 in MP4",
            log=done.log,
        )


def tell_licence() -> None:
    """Say once per process under which licence OpenFace is."""
    global _told
    if not _told:
        log.warning(NOTICE)
        _told = True
