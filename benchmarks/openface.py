"""What running OpenFace through us costs beside the bare program, on a clip of 20 s.

A stand-in takes the clip's real time and then writes 600 rows and 600 faces. Beside the bare
call stand ours as a program and, where an engine can run, in a container, each with reading
and placing the rows and reading the faces. Some clips follow each other in one container, whose
start and end are shared by them; all ways take turns, and the least seconds of each are told.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from features.media.media import Media
from features.openface.faces import aligned_folder, read_faces
from features.openface.place import Placing, Span, place_rows
from features.openface.run import OPTIONS, SINGLE_PROGRAM, Run, release, run_openface
from features.openface.settings import PREFIX
from tests.conftest import MEDIA
from tests.containers.daemon import BUSYBOX, IMAGE, NoDaemon, daemon
from tests.containers.replay import A02, STANDIN, Programs, variant
from tests.features.openface_kit import text_of

SECONDS, FRAMES, CLIPS, REPEATS = 20.0, 600, 3, 2


def replayed(folder: Path) -> tuple[Programs, list[Path]]:
    """The stand-in, with 20 s of rows and faces for short real clips."""
    made = Programs.make(folder / "programs")
    header, *rows = text_of(A02).splitlines()
    lines = [f"{i + 1},{rows[i % len(rows)].split(',', 1)[1]}" for i in range(FRAMES)]
    packed = gzip.compress(("\n".join([header, *lines]) + "\n").encode(), 1)
    clips = []
    for number in range(CLIPS):
        clip = variant(MEDIA / f"{A02}.mp4", folder / f"{number}.mp4")
        made.replay(clip, A02, behaviour=f"slow {SECONDS:g}", faces=FRAMES)
        clips.append(clip)
    for table in made.folder.glob("replay/*.csv.gz"):
        table.write_bytes(packed)
    return made, clips


def read(run: Run) -> None:
    """Rows and faces, as the extractor reads them."""
    span = Span(0, FRAMES, FRAMES, 0.0)
    rows = place_rows(A02, run.table, span, Placing(0.8, "pad", 0.05))
    faces = read_faces(A02, aligned_folder(run.csv), span, rows.valid)
    if not (rows.valid.all() and faces.valid.all()):
        raise RuntimeError("rows or faces are lacking")


def seconds(run: Callable[[], object]) -> float:
    """Per clip."""
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) / CLIPS


def main() -> None:
    """Print the seconds of each way, and what ours add."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        programs, clips = replayed(Path(folder))
        # the container's tools for all ways, so that these don't differ in speed
        tools, path = Path(folder) / "tools", os.environ["PATH"]
        tools.mkdir()
        subprocess.run([str(BUSYBOX), "--install", "-s", str(tools)], check=True)

        def bare() -> None:
            for clip in clips:
                with tempfile.TemporaryDirectory() as out:
                    words = ["-f", str(clip), "-out_dir", out, "-of", "clip", *OPTIONS]
                    quiet = subprocess.DEVNULL
                    subprocess.run([str(programs.binary), *words], check=True, stdout=quiet)

        def ours() -> None:
            for clip in clips:
                read(run_openface(Media(str(clip)), SECONDS, SINGLE_PROGRAM, "default"))
            release()

        ways = {"bare program": bare, "ours, program": ours}
        try:
            engine = stack.enter_context(daemon())
        except NoDaemon as reason:
            print(f"no container engine: {reason}")
        else:
            (Path(folder) / "bin").mkdir()
            shutil.copy(BUSYBOX, Path(folder) / "bin")
            shutil.copy(STANDIN / "Dockerfile", folder)
            os.environ["DOCKER_HOST"] = engine.environment["DOCKER_HOST"]
            os.environ[f"{PREFIX}IMAGE"] = engine.build(Path(folder), IMAGE)
            ways["ours, container"] = ours
        least = dict.fromkeys(ways, np.inf)
        for _ in range(REPEATS):
            for name, way in ways.items():
                inside = name == "ours, container"
                os.environ["PATH"] = path if inside else f"{tools}:{path}"
                os.environ[f"{PREFIX}BINARY"] = "" if inside else str(programs.binary)
                least[name] = min(least[name], seconds(way))
    for name, taken in least.items():
        added = taken / least["bare program"] - 1
        print(f"{name:16} {taken:7.2f} s  {added:+6.1%}")


if __name__ == "__main__":
    main()
