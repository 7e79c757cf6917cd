"""A run with nothing to do over made catalogue rows: 10,000 clips by default."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from flows.pipeline import configure, select
from storage import FeatureStore
from storage.catalogue import published_table
from storage.keys import fingerprint, media_key
from storage.records import Piece, Published

#: closed under what they read
FEATURES = ("timeline", "audio_16k", "mfcc_mel", "faces", "identity", "face_track")


def make_store(root: Path, count: int, features: tuple[str, ...]) -> None:
    """A store whose clips and results exist in its tables only: rows are made, no media."""
    store = FeatureStore.create(root)
    names = [f"clip{i:07d}" for i in range(count)]
    keys = [media_key(f"{i:064x}") for i in range(count)]
    store.upsert_clips(
        "made",
        pa.table(
            {
                "clip": names,
                "uri": [f"/nowhere/{n}.mp4" for n in names],
                "sha256": [f"{i:064x}" for i in range(count)],
                "size": [1] * count,
                "mtime_ns": [1] * count,
                "media_key": keys,
                "state": ["present"] * count,
                "duration": [2.5] * count,
            }
        ),
        complete=True,
    )
    nodes = [n for n in configure({}).nodes if n.feature in features]
    now = datetime.now(UTC)
    step = 20_000
    for begin in range(0, count, step):
        rows = []
        for i in range(begin, min(begin + step, count)):
            contents: dict[str, str] = {}
            for node in nodes:
                contents[node.feature] = f"{i:032x}{hash(node.feature) & (1 << 128) - 1:032x}"
                rows.append(
                    Published(
                        corpus="made",
                        clip=names[i],
                        feature=node.feature,
                        fingerprint=fingerprint(node, keys[i], {}, contents),
                        extractor_key=node.extractor_key,
                        media_key=keys[i] if node.reads_media else None,
                        inputs={s: (f, contents[f]) for s, f in node.inputs},
                        content=contents[node.feature],
                        rows=60,
                        valid_share=1.0,
                        t0=0.0,
                        step=None,
                        pieces=(Piece("made", 64 * i, 64 * i + 60),),
                        bytes=60 * 672,
                        computed=60,
                        reused=0,
                        seconds=0.5,
                        device="cpu",
                        host="made",
                        run="made",
                        time=now,
                    )
                )
        # made rows have no parts, which commit would refuse
        store.snapshot["catalogue"].append(published_table(rows))


def timed(root: Path, *words: str) -> tuple[float, float, float, str]:
    """Seconds by the clock, CPU seconds and peak bytes of one command, and what it printed."""
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *words, "--store", str(root)],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu, now.ru_maxrss * 1024, done.stdout


def main() -> None:
    """Print the times of extract, plan and a plan with one changed parameter."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=10_000)
    args = parser.parse_args()
    features = ",".join(select(configure({}), ",".join(FEATURES)))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        make_store(root, args.clips, FEATURES)
        results = {}
        for name, words in {
            "extract, nothing to do": ("extract", "--features", features),
            "plan, nothing to do": ("plan", "--features", features),
            "plan, one parameter changed": (
                *("plan", "--features", features),
                *("--set", "faces.min_face=40"),
            ),
        }.items():
            seconds, cpu, peak, printed = timed(root, *words)
            results[name] = seconds
            print(f"  {name:<28} {seconds:6.2f} s ({cpu:.2f} s of CPU), {peak / 1e9:.2f} GB")
            print(f"      {printed.splitlines()[0]}")
    print(json.dumps({"clips": args.clips, "features": len(FEATURES), **results}))


if __name__ == "__main__":
    main()
