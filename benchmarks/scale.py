"""Plans, look-ups and objects of large stores, against their targets; rows are made, no media.

``--clips`` sets the size of the plan's store; ``--million`` adds one of 1,000,000 clips.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.made_store import CORPUS
from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from storage.compact import compact
from storage.keys import media_key
from storage.layout import part_key
from storage.records import Published

#: twelve features, what they read among them
FEATURES = (
    *("timeline", "audio_16k", "mfcc_mel", "stft_map", "logmel_64", "shortterm_34"),
    *("faces", "identity", "face_track", "face_112", "face_112x96", "face_224"),
)
#: clips whose twelve results are a million catalogue rows
MILLION_ROWS = 1_000_000 // len(FEATURES) + 1
CLIPS_PER_FEATURE = 2_000
CLIPS_PER_PART = 25

_LOOK_UP = f"""
import sys, time, numpy, pyarrow.dataset, duckdb, deltalake
from storage import FeatureStore
began, spent = time.perf_counter(), time.process_time()
found = FeatureStore.open(sys.argv[1], read_only=True).rows("clip0012345", "face_224")
print(time.perf_counter() - began, time.process_time() - spent)
assert found.corpus == {CORPUS!r}
"""


@dataclass(frozen=True)
class Figure:
    """One measured number and what it should be at most; with it, what it took of the CPU."""

    what: str
    value: float
    target: float
    unit: str
    cpu: float | None = None

    def line(self) -> str:
        """The figure against its target."""
        met = "met" if self.value <= self.target else "MISSED"
        cpu = "" if self.cpu is None else f"  ({self.cpu:.1f} s of CPU)"
        return f"  {self.what:<46} {self.value:8.2f} {self.unit:<7} <= {self.target:g}  {met}{cpu}"


@dataclass(frozen=True)
class Run:
    """A process of its own: seconds, CPU seconds, peak gigabytes, and what it printed."""

    seconds: float
    cpu: float
    peak: float
    printed: str


def timed(*command: str) -> Run:
    """Run Python with these arguments."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    seconds, peak = time.perf_counter() - began, used.ru_maxrss * 1024 / 1e9
    return Run(seconds, used.ru_utime + used.ru_stime, peak, printed)


def _make(root: Path, clips: int) -> float:
    # in a process of its own: a child's peak counts from its parent's size on
    return timed("-m", "benchmarks.made_store", str(root), str(clips), ",".join(FEATURES)).seconds


def plans(root: Path, clips: int, idle: float, changed: float, memory: float) -> list[Figure]:
    """Time and peak memory of two plans over a store of so many clips and twelve features."""
    made = _make(root, clips)
    print(f"  ({clips:,} clips made in {made:.0f} s)", flush=True)
    main = ("-c", "from flows.cli import main; main()", "plan", "--store", str(root))
    found = []
    for name, words, seconds in (
        ("nothing to do", (), idle),
        ("one parameter changed", ("--set", "faces.min_face=40"), changed),
    ):
        run = timed(*main, "--features", ",".join(FEATURES), *words)
        print(f"      {run.printed.splitlines()[0]}", flush=True)
        what = f"plan, {clips:,} clips, {name}"
        found.append(Figure(what, run.seconds, seconds, "s", run.cpu))
        found.append(Figure(what, run.peak, memory, "GB"))
    return found


def look_up(root: Path) -> Figure:
    """From opening a store of a million catalogue rows to the result of one clip's feature."""
    _make(root, MILLION_ROWS)
    tries = [timed("-c", _LOOK_UP, str(root)).printed.split() for _ in range(3)]
    took, cpu = min((float(seconds), float(cpu)) for seconds, cpu in tries)
    return Figure("open 1,000,000 rows, find one clip's result", 1000 * took, 300, "ms", cpu)


def looks(root: Path) -> list[Figure]:
    """Time and peak memory of what goes through the same store's whole catalogue."""
    found = []
    for words, seconds, memory in (
        (("status",), 20, 2),
        (("du",), 20, 2),
        (("failures",), 20, 2),
        (("diff", "1", "1"), 15, 1.5),
        (("diff", "0", "1"), 15, 1.5),
    ):
        run = timed("-c", "from flows.cli import main; main()", *words, "--store", str(root))
        what = f"{' '.join(words)}, 1,000,000 rows"
        found.append(Figure(what, run.seconds, seconds, "s", run.cpu))
        found.append(Figure(what, run.peak, memory, "GB"))
    return found


def objects(root: Path) -> Figure:
    """Objects under ``parts`` for 2,000 clips of a feature, written 25 at a time, then merged."""
    store, spec = FeatureStore.create(root), FeatureSpec("made", "frame", (8,), "float32")
    names = [f"clip{i:05d}" for i in range(CLIPS_PER_FEATURE)]
    keys = [media_key(name) for name in names]
    store.upsert_clips(CORPUS, pa.table({"clip": names, "uri": names, "media_key": keys}))
    rng = np.random.default_rng(0)
    for start in range(0, len(names), CLIPS_PER_PART):
        store.commit(_published(store, spec, rng, names[start : start + CLIPS_PER_PART]))
    compact(store)
    held = {p.part for r in store.published() for p in r.pieces}
    count = sum(1 for part in held for _ in store.location.list(part_key(spec.name, part)))
    return Figure("objects, 2,000 clips x one feature, compacted", count, 50, "objects")


def _published(
    store: FeatureStore, spec: FeatureSpec, rng: np.random.Generator, clips: list[str]
) -> list[Published]:
    with store.writer(spec, {"made": "benchmark"}) as writer:
        stored = []
        for _ in clips:
            writer.begin()
            writer.append(Rows(rng.random((60, 8), np.float32), np.ones(60, bool)))
            stored.append(writer.finish())
    return [
        s.published(
            CORPUS, clip, spec.name, fingerprint=s.content, extractor_key="made", run="made"
        )
        for clip, s in zip(clips, stored, strict=True)
    ]


def main() -> int:
    """Print each figure against its target; 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--million", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        figures = [look_up(root / "rows"), *looks(root / "rows"), objects(root / "objects")]
        figures += plans(root / "plan", args.clips, 20, 40, 2)
        if args.million:
            figures += plans(root / "million", 1_000_000, 120, 120, 4)
    for figure in figures:
        print(figure.line())
    print(json.dumps([vars(figure) for figure in figures]))
    return int(any(figure.value > figure.target for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
