"""What a changed detector costs beside the first extract: detection and the frames that it moved.

Both extracts run in one process on the same clips, one thread. The second may take of the first's
time the share of the frames whose crop changed, the share of decoding and detecting (timed bare,
with the new settings, before and after the second: a machine's pace changes), and 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import BASIC
from corpora.adapters import load
from features.extractor import Batch
from features.freed_memory import keep_freed_memory
from features.media.media import Media
from features.media.video import decoder_starts, set_decoder_starts
from features.registry import declarations
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore

MEDIA = Path(os.environ.get("AFFECTSTORE_SHARED", "../shared")) / "media"
#: networks over the crops, with numbers without meaning: the arithmetic is the published ones'
NETWORKS = ("sphereface.weights=random", "expnet.weights=random")
FEATURES = f"{BASIC},sphereface,expnet"
CHANGE = ("faces.thresholds=[.6,.7,.95]",)
#: the feature whose changed rows are counted
CROP = "face_112"
ALLOWED = 0.05
FRAMES_PER_BATCH = 32


def spent() -> NDArray[np.float64]:
    """The clock's seconds, and those of the CPU in this process and the ended ones it started."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def bare(
    paths: Iterable[str], change: Iterable[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What one decode of all clips takes, and detecting under the changed settings."""
    declared = declarations()["faces"].cls
    values = parse_settings(change).get("faces", {})
    detector = declared(declared.Params(**values))
    detector.setup("cpu")
    decoding, detecting = np.zeros(2), np.zeros(2)
    for path in paths:
        media, clock = Media(path), spent()
        for batch in media.video(FRAMES_PER_BATCH):
            now = spent()
            decoding += now - clock
            detector.extract(Batch(media, batch.start, batch.times, batch.frames))
            clock = spent()
            detecting += clock - now
        decoding += spent() - clock
    return decoding, detecting


def extract(root: Path, features: str, settings: Iterable[str]) -> tuple[NDArray[np.float64], int]:
    """What one extract in this process takes, and how many video decoders it started."""
    set_decoder_starts(0)
    request = Request(str(root), features=features, settings=parse_settings(settings))
    began = spent()
    summary = extract_plain(request)
    took = spent() - began
    if not summary.complete:
        raise RuntimeError(summary.sentence())
    return took, decoder_starts()


def changed_share(store: FeatureStore) -> float:
    """Share of the crops' rows that the newest run computed; a clip that was cut off has none."""
    rows = store.catalogue(features=[CROP], columns=["clip", "rows", "computed", "time"])
    every: Counter[str] = Counter()
    computed: Counter[str] = Counter()
    for row in sorted(rows.to_pylist(), key=lambda r: r["time"]):
        if row["clip"] in every:
            computed[row["clip"]] = row["computed"]
        every[row["clip"]] = row["rows"]
    return computed.total() / every.total()


def measure(source: str, features: str, networks: list[str], change: list[str]) -> dict[str, Any]:
    """Both extracts, and what the second one is allowed; pairs are the clock's and the CPU's."""
    paths = [c.uri for c in load(None, source, "bench").clips]
    with tempfile.TemporaryDirectory() as folder:
        # what a process does once (imports, networks) counts in neither
        warm = Path(folder) / "warm"
        ingest_manifest(FeatureStore.create(warm), load(None, paths[0], "warm"))
        extract(warm, features, networks)
        bare(paths[:1], change)
        root = Path(folder) / "store"
        ingest_manifest(FeatureStore.create(root), load(None, source, "bench"))
        first, starts = extract(root, features, networks)
        before = bare(paths, change)
        second, again = extract(root, features, [*networks, *change])
        share = changed_share(FeatureStore.open(root, read_only=True))
    after = bare(paths, change)
    decoding, detecting = np.mean([before, after], axis=0)
    drift = sum(after)[0] / sum(before)[0] - 1
    decoding *= again / len(paths)
    return {
        "clips": len(paths),
        "decoders": [starts, again],
        "changed": share,
        "first": first.tolist(),
        "second": second.tolist(),
        "decoding": (decoding / first).tolist(),
        "detecting": (detecting / first).tolist(),
        "ratio": (second / first).tolist(),
        "allowed": (share + (decoding + detecting) / first + ALLOWED).tolist(),
        "drift": drift,
    }


def main() -> int:
    """Print the ratio of the two extracts against what is allowed; 1 if it is more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=str(MEDIA))
    parser.add_argument("--features", default=FEATURES)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--change", nargs="+", default=list(CHANGE))
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = measure(args.source, args.features, args.networks, args.change)
    decoders = found["decoders"]
    print(f"{found['clips']} clips, {args.features}, then {' '.join(args.change)}")
    print(f"  video decoders {decoders[0]}, then {decoders[1]}")
    print(f"  changed crops  {100 * found['changed']:8.1f} %")
    print("                    clock      CPU")
    for name in ("first", "second"):
        print(f"  {name:<14} {found[name][0]:8.1f} {found[name][1]:8.1f} s")
    for name in ("decoding", "detecting", "ratio", "allowed"):
        print(
            f"  {name:<14} {100 * found[name][0]:8.1f} {100 * found[name][1]:8.1f} % of the first"
        )
    print(f"  bare work after it {100 * found['drift']:+.1f} % beside before")
    met = found["ratio"][0] <= found["allowed"][0]
    print(f"  {'met' if met else 'MISSED'}")
    print(json.dumps(found))
    return int(not met)


if __name__ == "__main__":
    raise SystemExit(main())
