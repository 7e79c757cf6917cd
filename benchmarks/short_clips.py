"""Clips of one second through a face network: each in batches of its own, and across clips."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.adapters import load
from features import sphereface
from features.faces import DETECTION_COLUMNS
from features.media.programs import ffmpeg_path
from features.nets.runner import Runner
from flows import partition, pipeline
from flows.ingest import ingest_manifest
from flows.pipeline import Settings
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore

CLIPS, FRAMES = 25, 25
#: box, score and points of the face that every frame is said to have
FACE = (12, 4, 52, 44, 1, 22, 18, 42, 18, 32, 27, 24, 36, 40, 36)
SETTINGS: Settings = {
    "faces": {"backend": "provided"},
    "face_track": {"use_identity": False},
    "sphereface": {"weights": "random"},
}


def made_media(folder: Path, clips: int) -> Path:
    """Clips of a second, and the table that names them and their boxes."""
    import subprocess

    lines = ["clip_id,path,asset.boxes"]
    rows = [("frame", *DETECTION_COLUMNS), *((i, *FACE) for i in range(FRAMES))]
    (folder / "boxes.csv").write_text("\n".join(",".join(map(str, r)) for r in rows))
    for i in range(clips):
        picture = f"testsrc2=size=64x48:rate={FRAMES},hue=h={7 * i}"
        words = ["-f", "lavfi", "-i", picture, "-t", "1", str(folder / f"{i:03d}.mp4")]
        subprocess.run([ffmpeg_path(), "-v", "error", "-nostdin", *words], check=True)
        lines.append(f"{i:03d},{i:03d}.mp4,boxes.csv")
    table = folder / "clips.csv"
    table.write_text("\n".join(lines))
    return table


def main() -> None:
    """Print forward passes, how full they are, and their CPU time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    clips = parser.parse_args().clips
    calls: list[float] = []
    outputs = Runner._outputs

    def counted(self: Runner, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        start = time.process_time()
        made = outputs(self, images)
        calls.append(time.process_time() - start)
        return made

    def run(table: Path, root: Path, together: int) -> set[str]:
        pipeline._instance.cache_clear()
        store = FeatureStore.create(root)
        ingest_manifest(store, load("table", str(table), "made"))
        extract_plain(Request(store.root, "face_112x96", settings=SETTINGS))
        calls.clear()
        with patch.object(partition, "CLIPS_PER_PARTITION", together):
            extract_plain(Request(store.root, "sphereface", settings=SETTINGS))
        return {p.content for p in store.published(features=["sphereface"])}

    torch.set_num_threads(1)
    with TemporaryDirectory() as name, patch.object(Runner, "_outputs", counted):
        folder = Path(name)
        table = made_media(folder, clips)
        for device, group in sphereface.GROUP.items():
            found, seconds = [], []
            for how, together in (("clip by clip", 1), ("across clips", clips)):
                with patch.dict(sphereface.GROUP, cpu=group):
                    found.append(run(table, folder / f"{device}-{together}", together))
                seconds.append(sum(calls))
                full = clips * FRAMES / (len(calls) * group)
                print(
                    f"groups of {group:3} ({device}'s), {how}: {len(calls):4} forward passes, "
                    f"{100 * full:3.0f} % full, {seconds[-1]:6.2f} s of CPU"
                )
            assert found[0] == found[1], "results differ"
            print(f"  {seconds[0] / seconds[1]:.2f} x, equal results")


if __name__ == "__main__":
    main()
