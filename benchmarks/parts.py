"""How fast parts are written and windows read, against a plain numpy memory map.

    python -m benchmarks.parts [--rows 200000] [--repeats 5] [--folder DIR]

Every ratio is between medians of one run on one machine. Windows of 15 frames of three features
are drawn at random; the files are in the page cache (warm) for all readers, which take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage.layout import part_key
from storage.location import Location
from storage.part import PartWriter
from storage.reader import open_part
from storage.records import Piece
from storage.windows import FeatureWindows

#: columns of the three features that a window holds
WIDTHS = {"audio": 168, "expnet": 2048, "facepose": 714}
WINDOW = 15
CLIP_ROWS = 2_000
#: rows per append: what an extractor hands over at once
BATCH = 250


def write(
    location: Location, feature: str, width: int, rows: int
) -> tuple[list[tuple[Piece, ...]], float, float]:
    """Write one feature; pieces per clip, seconds of appending, seconds of close (with fsync)."""
    rng = np.random.default_rng(width)
    spec = FeatureSpec(feature, "frame", (width,), "float32")
    batches = [
        (rng.standard_normal((BATCH, width), np.float32), rng.random(BATCH) < 0.95)
        for _ in range(4)
    ]
    writer = PartWriter(location, spec, description={"made for": "benchmarks"})
    started = time.perf_counter()
    clips = []
    for _ in range(rows // CLIP_ROWS):
        writer.begin()
        for number in range(CLIP_ROWS // BATCH):
            values, valid = batches[number % len(batches)]
            writer.append(Rows(values, valid))
        clips.append(writer.finish().pieces)
    appended = time.perf_counter()
    writer.close()
    return clips, appended - started, time.perf_counter() - appended


def raw_copy(folder: Path, megabytes: int) -> float:
    """MB/s of writing plain bytes with fsync: what this disk gives to anyone."""
    block = os.urandom(1 << 20)
    path = folder / "plain.bin"
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(megabytes):
            file.write(block)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    path.unlink()
    return megabytes * (1 << 20) / 1e6 / seconds


def placed(
    pieces: dict[str, list[tuple[Piece, ...]]], clips: NDArray[np.int64], starts: NDArray[np.int64]
) -> dict[str, list[tuple[str, int]]]:
    """Per feature, (part, row) of each window, for the readers that need it from outside."""
    out: dict[str, list[tuple[str, int]]] = {}
    for feature, of_clips in pieces.items():
        out[feature] = []
        for clip, start in zip(clips.tolist(), starts.tolist(), strict=True):
            for piece in of_clips[clip]:
                length = piece.row_stop - piece.row_start
                if start < length:
                    out[feature].append((piece.part, piece.row_start + start))
                    break
                start -= length
    return out


def draw(
    pieces: dict[str, list[tuple[Piece, ...]]], count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random windows that lie in one piece each, so that the plain map can read them too."""
    rng = np.random.default_rng(seed)
    whole = [
        number
        for number in range(len(next(iter(pieces.values()))))
        if all(len(of_clips[number]) == 1 for of_clips in pieces.values())
    ]
    clips = rng.choice(np.array(whole), count)
    return clips, rng.integers(0, CLIP_ROWS - WINDOW + 1, count)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def windows(
    location: Location, pieces: dict[str, list[tuple[Piece, ...]]], repeats: int, count: int
) -> dict[str, float]:
    """Windows per second of each way to read, medians; the ways take turns in every repeat."""
    batch = 64
    out = {f: np.empty((batch, WINDOW, w), np.float32) for f, w in WIDTHS.items()}
    preadv = {f: FeatureWindows(location, f, clips) for f, clips in pieces.items()}
    mapped = {f: FeatureWindows(location, f, clips, "mmap") for f, clips in pieces.items()}
    maps: dict[str, dict[str, np.memmap[Any, Any]]] = {}
    stock: dict[str, dict[str, Any]] = {}
    for feature, width in WIDTHS.items():
        names = sorted({p.part for of_clip in pieces[feature] for p in of_clip})
        maps[feature] = {}
        stock[feature] = {}
        for name in names:
            key = part_key(feature, name)
            rows = open_part(location, feature, name).rows
            path = location.path / key / "values" / "c" / "0" / "0"
            maps[feature][name] = np.memmap(path, np.float32, "r", shape=(rows, width))
            stock[feature][name] = zarr.open_group(location.path / key, mode="r")["values"]

    def by_memmap(where: dict[str, list[tuple[str, int]]], n: int) -> None:
        for begin in range(0, n, batch):
            for feature, target in out.items():
                of_part = maps[feature]
                for i, (part, row) in enumerate(where[feature][begin : begin + batch]):
                    target[i] = of_part[part][row : row + WINDOW]

    def by_zarr(where: dict[str, list[tuple[str, int]]], n: int) -> None:
        for feature, target in out.items():
            for i, (part, row) in enumerate(where[feature][:n]):
                target[i % batch] = stock[feature][part][row : row + WINDOW]

    def by_reader(
        readers: dict[str, FeatureWindows], clips: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> None:
        for begin in range(0, len(clips), batch):
            some = slice(begin, begin + batch)
            for feature, reader in readers.items():
                reader.read(clips[some], starts[some], WINDOW, out=out[feature])

    for of_part in maps.values():  # both maps know their pages before the clock starts
        for array in of_part.values():
            array[:, 0].sum()
    for feature in WIDTHS:
        for part in maps[feature]:
            rows = open_part(location, feature, part, "mmap").rows
            open_part(location, feature, part, "mmap").values(0, rows)[:, 0].sum()
    few = max(16, count // 200)
    turn = batch * 5
    rates: dict[str, list[float]] = {"memmap": [], "mmap": [], "preadv": [], "zarr": []}
    for repeat in range(repeats):
        clips, starts = draw(pieces, count, 1000 + repeat)
        where = placed(pieces, clips, starts)
        seconds = dict.fromkeys(rates, 0.0)
        # in short turns, so that whatever else the machine does falls on all ways alike
        for number, begin in enumerate(range(0, count, turn)):
            some = slice(begin, begin + turn)
            there = {feature: places[some] for feature, places in where.items()}
            ways: list[tuple[str, Callable[[], object]]] = [
                ("memmap", partial(by_memmap, there, len(clips[some]))),
                ("mmap", partial(by_reader, mapped, clips[some], starts[some])),
                ("preadv", partial(by_reader, preadv, clips[some], starts[some])),
            ]
            first = number % len(ways)
            for name, work in ways[first:] + ways[:first]:
                seconds[name] += timed(work)
        seconds["zarr"] = timed(partial(by_zarr, where, few)) * count / few
        for name, spent in seconds.items():
            rates[name].append(count / spent)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--windows", type=int, default=64 * 100)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="affectstore-bench-", dir=options.folder))
    try:
        location = Location.parse(folder)
        pieces: dict[str, list[tuple[Piece, ...]]] = {}
        written: dict[str, dict[str, float]] = {}
        for feature, width in WIDTHS.items():
            runs = []
            for _ in range(options.repeats):
                shutil.rmtree(folder / "parts" / feature, ignore_errors=True)
                pieces[feature], append, close = write(location, feature, width, options.rows)
                megabytes = options.rows * width * 4 / 1e6
                runs.append((megabytes / append, megabytes / (append + close)))
            written[feature] = {
                "append_mb_s": statistics.median(run[0] for run in runs),
                "durable_mb_s": statistics.median(run[1] for run in runs),
            }
        plain = statistics.median(raw_copy(folder, 512) for _ in range(options.repeats))
        read = windows(location, pieces, options.repeats, options.windows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'write':<12}{'append MB/s':>14}{'with fsync':>14}   plain file + fsync {plain:.0f}")
    for feature, speed in written.items():
        print(f"{feature:<12}{speed['append_mb_s']:>14.0f}{speed['durable_mb_s']:>14.0f}")
    total = {
        kind: sum(WIDTHS.values()) / sum(w / written[f][kind] for f, w in WIDTHS.items())
        for kind in ("append_mb_s", "durable_mb_s")
    }
    print(f"{'together':<12}{total['append_mb_s']:>14.0f}{total['durable_mb_s']:>14.0f}")
    print(f"{'read':<12}{'windows/s':>14}{'of memmap':>14}{'x zarr':>10}")
    for name, rate in read.items():
        print(f"{name:<12}{rate:>14.0f}{rate / read['memmap']:>13.0%} {rate / read['zarr']:>9.0f}")
    result = {
        "rows": options.rows,
        "repeats": options.repeats,
        "write": {**written, "together": total},
        "plain_write_mb_s": plain,
        "windows_per_s": read,
        "share_of_memmap": {k: v / read["memmap"] for k, v in read.items()},
        "times_zarr": {k: v / read["zarr"] for k, v in read.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
