"""The whole pipeline against the bare work: decode, detect, crop and audio without a store.

Both run in one process on the same clips, one thread: the ratio is what store, keys and plan cost.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import BASIC
from corpora.adapters import load
from features.extractor import Batch, Extractor
from features.freed_memory import keep_freed_memory
from features.media.media import Media
from features.registry import declarations
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore

MEDIA = Path(os.environ.get("AFFECTSTORE_SHARED", "../shared")) / "media"


def made(name: str) -> Extractor:
    """An extractor with its default parameters, on the CPU."""
    cls = declarations()[name].cls
    extractor = cls(cls.Params())
    extractor.setup("cpu")
    return extractor


def bare(paths: list[str]) -> dict[str, float]:
    """Seconds of the sum "decode + MTCNN + mfcc_mel", by part, nothing stored."""
    faces, mfcc = made("faces"), made("mfcc_mel")
    spent = {"decode": 0.0, "faces": 0.0, "mfcc_mel": 0.0}
    for path in paths:
        media, times = Media(path), []
        clock = time.perf_counter()
        for batch in media.video(32):
            now = time.perf_counter()
            spent["decode"] += now - clock
            faces.extract(Batch(media, batch.start, batch.times, batch.frames))
            times.append(Rows(batch.times, batch.times >= 0))
            clock = time.perf_counter()
            spent["faces"] += clock - now
        timeline = Rows.concat(times)
        clock = time.perf_counter()
        mfcc.extract(Batch(media, inputs={"timeline": timeline}))
        spent["mfcc_mel"] += time.perf_counter() - clock
    return spent


def pipeline(source: str, features: str) -> float:
    """Seconds of ingest and extract into a fresh store."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        started = time.perf_counter()
        store = FeatureStore.create(root)
        ingest_manifest(store, load(None, source, "bench"))
        extract_plain(Request(str(root), features=features))
        return time.perf_counter() - started


def main() -> None:
    """Print the ratio of medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default=str(MEDIA))
    parser.add_argument("--features", default=BASIC)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    paths = [c.uri for c in load(None, args.source, "bench").clips]
    bare(paths[:1])
    sums, wholes, parts = [], [], {}
    for _ in range(args.repeats):
        parts = bare(paths)
        sums.append(sum(parts.values()))
        wholes.append(pipeline(args.source, args.features))
    least, whole = statistics.median(sums), statistics.median(wholes)
    print(f"{len(paths)} clips, {args.repeats} repeats, medians")
    for name, seconds in parts.items():
        print(f"  {name:<10} {seconds:8.2f} s")
    print(f"  bare sum   {least:8.2f} s")
    print(f"  pipeline   {whole:8.2f} s   ({args.features}: with crops, audio and the store)")
    print(f"  throughput {100 * least / whole:8.1f} % of the bare sum's")
    print(json.dumps({"bare": least, "pipeline": whole, "share": least / whole, **parts}))


if __name__ == "__main__":
    main()
