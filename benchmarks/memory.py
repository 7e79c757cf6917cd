"""Peak memory of a worker on a ten-minute clip, beside that on a one-minute clip."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import BASIC
from features.media.tools import ffmpeg_path

MINUTES = (1, 10)


def make_clip(path: Path, minutes: int) -> None:
    """A made clip with sound: 640x480, 25 fps, moving test picture."""
    seconds = 60 * minutes
    subprocess.run(
        [
            *(str(ffmpeg_path()), "-v", "error", "-nostdin", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=s=640x480:r=25:d={seconds}"),
            *("-f", "lavfi", "-i", f"sine=f=220:r=44100:d={seconds}"),
            *("-c:v", "mpeg4", "-q:v", "8", "-c:a", "aac", "-shortest", str(path)),
        ],
        check=True,
    )


def worker(media: str, root: str) -> None:
    """Extract everything of one clip and print this process' peak memory."""
    from corpora.adapters import load
    from flows.ingest import ingest_manifest
    from flows.request import Request
    from flows.run import extract_plain
    from storage import FeatureStore

    store = FeatureStore.create(root)
    ingest_manifest(store, load(None, media, "bench"))
    started = time.perf_counter()
    summary = extract_plain(Request(root, BASIC))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "peak": peak,
                "seconds": time.perf_counter() - started,
                "published": summary.published,
                "complete": summary.complete,
            }
        )
    )


def main() -> None:
    """Print both peaks and their ratio."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for minutes in MINUTES:
            clip = Path(folder) / f"{minutes}min.mp4"
            make_clip(clip, minutes)
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.memory", str(clip), f"{clip}.store"],
                capture_output=True,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                check=True,
            )
            results[minutes] = json.loads(done.stdout.splitlines()[-1])
            r = results[minutes]
            print(f"  {minutes:>3} min: peak {r['peak'] / 1e9:.2f} GB, {r['seconds']:.0f} s")
    short, long = (results[m]["peak"] for m in MINUTES)
    print(f"  ten times the length: {long / short:.2f} x the memory")
    print(json.dumps({"peak_bytes": {str(m): r["peak"] for m, r in results.items()}}))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        worker(*sys.argv[1:])
    else:
        main()
