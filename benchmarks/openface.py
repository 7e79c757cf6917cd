"""What running OpenFace through us costs beside the bare program, on a clip of 20 s.

A stand-in takes the clip's real time and then writes 600 rows and 600 faces. Beside the bare
call stand ours as a program and, where an engine can run, in a container, each with reading
and placing the rows and reading the faces.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features.media.media import Media
from features.openface.faces import aligned_folder, read_faces
from features.openface.place import Placing, Span, place_rows
from features.openface.run import OPTIONS, SINGLE_PROGRAM, run_openface
from features.openface.settings import PREFIX
from features.openface.table import read_table
from tests.conftest import MEDIA
from tests.containers.daemon import BUSYBOX, IMAGE, NoDaemon, daemon
from tests.containers.replay import A02, STANDIN, Programs
from tests.features.openface_kit import text_of

SECONDS, FRAMES, REPEATS = 20.0, 600, 2


def replayed(folder: Path) -> Programs:
    """The stand-in, with 20 s of rows and faces for a short real clip."""
    made = Programs.make(folder)
    made.replay(MEDIA / f"{A02}.mp4", A02, behaviour=f"slow {SECONDS:g}", faces=FRAMES)
    header, *rows = text_of(A02).splitlines()
    lines = [f"{i + 1},{rows[i % len(rows)].split(',', 1)[1]}" for i in range(FRAMES)]
    table = next(folder.glob("replay/*.csv.gz"))
    table.write_bytes(gzip.compress(("\n".join([header, *lines]) + "\n").encode(), 1))
    return made


def read(table: Path) -> None:
    """Rows and faces, as the extractor reads them."""
    span = Span(0, FRAMES, FRAMES, 0.0)
    rows = place_rows(A02, read_table(table), span, Placing(0.8, "pad", 0.05))
    faces = read_faces(A02, aligned_folder(table), span, rows.valid)
    if not (rows.valid.all() and faces.valid.all()):
        raise RuntimeError("rows or faces are lacking")


def seconds(run: Callable[[], object]) -> float:
    """Least seconds of some runs."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return float(np.min(taken))


def main() -> None:
    """Print the seconds of each way, and what ours add."""
    media = MEDIA / f"{A02}.mp4"
    with tempfile.TemporaryDirectory() as folder:
        programs = replayed(Path(folder) / "programs")

        def bare() -> None:
            with tempfile.TemporaryDirectory() as out:
                words = ["-f", str(media), "-out_dir", out, "-of", "clip", *OPTIONS]
                quiet = subprocess.DEVNULL
                subprocess.run([str(programs.binary), *words], check=True, stdout=quiet)

        def ours() -> None:
            run_openface(Media(str(media)), SECONDS, SINGLE_PROGRAM, "default", read)

        # the container's tools for all ways, so that these don't differ in speed
        tools, path = Path(folder) / "tools", os.environ["PATH"]
        tools.mkdir()
        subprocess.run([str(BUSYBOX), "--install", "-s", str(tools)], check=True)
        os.environ["PATH"] = f"{tools}:{path}"
        ours_as = {"bare program": seconds(bare)}
        os.environ[f"{PREFIX}BINARY"] = str(programs.binary)
        ours_as["ours, program"] = seconds(ours)
        del os.environ[f"{PREFIX}BINARY"]
        os.environ["PATH"] = path
        try:
            with daemon() as engine:
                (Path(folder) / "bin").mkdir()
                shutil.copy(BUSYBOX, Path(folder) / "bin")
                shutil.copy(STANDIN / "Dockerfile", folder)
                os.environ["DOCKER_HOST"] = engine.environment["DOCKER_HOST"]
                os.environ[f"{PREFIX}IMAGE"] = engine.build(Path(folder), IMAGE)
                ours_as["ours, container"] = seconds(ours)
        except NoDaemon as reason:
            print(f"no container engine: {reason}")
    for name, taken in ours_as.items():
        added = taken / ours_as["bare program"] - 1
        print(f"{name:16} {taken:7.2f} s  {added:+6.1%}")


if __name__ == "__main__":
    main()
