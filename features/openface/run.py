"""Runs of OpenFace on whole files, and what can be said of how they went."""

from __future__ import annotations

import logging
import shutil
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from features.errors import FeatureError
from features.media.media import Media
from features.openface.backend import INPUTS, OUTPUTS, Backend, Call, backend
from features.openface.errors import (
    Crashed,
    NoEngine,
    NoOutput,
    NoPlace,
    OutOfMemory,
    TimedOut,
    TooMuchOutput,
)
from features.openface.process import KILLED, Finished
from features.openface.settings import MIB, NOTICE, PREFIX, Settings, read_settings
from features.openface.slots import slot
from features.openface.table import Table, read_table
from features.openface.workdir import work_folder

log = logging.getLogger(__name__)

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
#: exit codes by which a shell tells that a signal ended the program
SIGNALS = {132: "illegal instruction", 134: "aborted", 135: "bus error", 139: "segmentation fault"}
_told = False


@dataclass(frozen=True, eq=False)
class Run:
    """What a program wrote of one file; there until another file's turn comes, or ``release``."""

    csv: Path

    @cached_property
    def table(self) -> Table:
        """The rows (BadCsv: see ``read_table``)."""
        return read_table(self.csv)


@dataclass
class _Place:
    """What one thread keeps between clips: the engine's container and the last file's runs."""

    settings: Settings
    backend: Backend
    folder: Path
    stack: ExitStack
    file: object = None
    runs: dict[tuple[str, str], Run | FeatureError] = field(default_factory=dict)
    count: int = 0


_kept = threading.local()


def run_openface(media: Media, duration: float, program: str, model: str) -> Run:
    """What one of OpenFace's programs writes of the whole file; the cuts of a file share a run.

    Args:
        duration: the file's seconds; the limits of time and space follow from it.
        model: ``default`` for the program's own, or a name in ``MODELS``.

    Raises:
        TimedOut, OutOfMemory, Crashed, NoOutput, TooMuchOutput: it went wrong; the log has what
            it printed.
        NoEngine, NoPlace: it couldn't be started.
    """
    tell_licence()
    place = _place(media)
    known = place.runs.get((program, model))
    if known is None:
        try:
            known = _run(place, media, duration, program, model)
        except (NoEngine, NoPlace):
            raise
        except FeatureError as error:
            known = error
        place.runs[program, model] = known
    if isinstance(known, FeatureError):
        # the same for every cut of the file, which need not wait for it again
        raise type(known)(str(known), log=known.log)
    return known


def release() -> None:
    """End this thread's container and remove its files, before its next run or for good."""
    place: _Place | None = getattr(_kept, "place", None)
    _kept.place = None
    if place is not None:
        place.stack.close()


def _place(media: Media) -> _Place:
    """This thread's, with the runs of this file alone."""
    settings = read_settings()
    place: _Place | None = getattr(_kept, "place", None)
    if place is None or place.settings != settings:
        release()
        with ExitStack() as stack:
            folder = stack.enter_context(work_folder())
            for name in (INPUTS, OUTPUTS):
                (folder / name).mkdir()
            engine = backend(settings)
            stack.callback(engine.close)
            place = _Place(settings, engine, folder, stack.pop_all())
        _kept.place = place
    status = Path(media.path).stat()
    file = (media.path, status.st_size, status.st_mtime_ns, place.backend.key())
    if file != place.file:
        place.file, place.runs = file, {}
        for old in (place.folder / OUTPUTS).iterdir():
            shutil.rmtree(old, ignore_errors=True)
    return place


def _run(place: _Place, media: Media, duration: float, program: str, model: str) -> Run:
    settings = place.settings
    chosen = ("-mloc", MODELS[model]) if model in MODELS else ()
    place.count += 1
    out = place.folder / OUTPUTS / str(place.count)
    out.mkdir()
    call = Call(
        program=program,
        media=Path(media.path).resolve(),
        place=place.folder,
        out=out,
        options=(*OPTIONS, *chosen),
        seconds=settings.limit(duration),
        memory=settings.memory,
        space=settings.most(duration),
    )
    with slot():
        done = place.backend.run(call)
    table = out / f"{call.name}.csv"
    _judge(Path(media.path).name, call, place.backend, done, table)
    return Run(table)


def _judge(name: str, call: Call, engine: Backend, done: Finished, table: Path) -> None:
    if done.stopped == "time":
        raise TimedOut(
            f"{name}: {call.program} was still running after {call.seconds:.0f} s and was "
            f"stopped; try again, or raise {PREFIX}SECONDS or {PREFIX}FACTOR",
            log=done.log,
        )
    if done.stopped == "space":
        raise TooMuchOutput(
            f"{name}: {call.program} wrote more than {call.space / MIB:.0f} MiB and was stopped; "
            f"look at the video, or raise {PREFIX}SPACE",
            log=done.log,
        )
    if done.code == KILLED:
        raise OutOfMemory(
            f"{name}: {call.program} was killed after {done.seconds:.0f} s, most likely "
            f"{engine.killer}",
            log=done.log,
        )
    if done.code:
        signal = f" ({SIGNALS[done.code]})" if done.code in SIGNALS else ""
        raise Crashed(
            f"{name}: {call.program} ended with code {done.code}{signal}; the log has what it "
            "printed: affectstore failures; re-encode the video, or leave the clip out",
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
