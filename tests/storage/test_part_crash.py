"""A writer that is killed at any moment leaves staged folders and whole parts, nothing else."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from part_kit import FRAME

from storage.layout import part_key
from storage.local import STAGING_PREFIX
from storage.location import Location
from storage.reader import open_part, read_pieces
from storage.records import Piece

WRITER = """
import sys
import numpy as np
from features.spec import FeatureSpec, Rows
from storage.location import Location
from storage.part import PartWriter

spec = FeatureSpec("audio", "frame", (168,), "float32")
rng = np.random.default_rng(0)
print("ready", flush=True)
while True:
    with PartWriter(Location.parse(sys.argv[1]), spec, description={}, max_bytes=200_000) as writer:
        for _ in range(4):
            writer.begin()
            for _ in range(6):
                values = rng.standard_normal((25, 168), np.float32)
                writer.append(Rows(values, np.ones(25, bool)))
            writer.finish()
"""


@pytest.mark.parametrize("seed", range(4))
def test_kill_minus_nine_leaves_nothing_half_visible(tmp_path: Path, seed: int) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=root
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.05, 0.4))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    location = Location.parse(tmp_path)
    above = tmp_path / "parts" / FRAME.name
    for entry in above.iterdir() if above.exists() else ():
        if entry.name.startswith(STAGING_PREFIX):
            continue
        part = entry.name.removesuffix(".zarr")
        assert entry == tmp_path / part_key(FRAME.name, part)
        rows = open_part(location, FRAME.name, part).rows
        assert read_pieces(location, FRAME.name, [Piece(part, 0, rows)]).rows == rows


def test_an_interrupted_writer_can_be_followed_by_another(tmp_path: Path) -> None:
    above = tmp_path / "parts" / FRAME.name / f"{STAGING_PREFIX}0123456789abcdef"
    (above / "half.zarr" / "values").mkdir(parents=True)
    (above / "half.zarr" / "values" / "data").write_bytes(b"half")
    from part_kit import make_rows, write

    location = Location.parse(tmp_path)
    stored, _ = write(location, FRAME, [make_rows(FRAME, 5)])
    assert read_pieces(location, FRAME.name, stored[0].pieces).rows == 5
