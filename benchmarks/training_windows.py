"""Windows for training: resident rows beside a DataLoader on zarr-python, and one training step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import zarr
from torch.utils.data import DataLoader, Dataset

from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from storage.batches import Windows
from storage.keys import media_key
from trainers.models.gru_fusion import GruFusion, Shape
from trainers.models.svm import fit_machine

#: of GRU fusion's three inputs
COLUMNS = {"mfcc_mel": 168, "expnet": 2048, "openface": 714}
BRANCHES = {"audio": "mfcc_mel", "face": "expnet", "pose": "openface"}
LABELS = ("valence", "arousal")
CLIPS, ROWS, LENGTH, STRIDE, BATCH = 6, 3000, 15, 10, 64
SVM_ROWS, SVM_COLUMNS, SVM_CLASSES = 2000, 1582, 7


def make(root: Path, clips: int = CLIPS, rows: int = ROWS) -> FeatureStore:
    """A store of random rows and labels; the last clip is of the split ``val``."""
    store = FeatureStore.create(root)
    names = [f"clip{i}" for i in range(clips)]
    table = {
        "clip": names,
        "uri": [f"/nowhere/{n}.mp4" for n in names],
        "media_key": [media_key(n) for n in names],
        "split": ["train"] * (clips - 1) + ["val"],
    }
    store.upsert_clips("c", pa.table(table))
    rng = np.random.default_rng(0)
    found = []
    specs = [FeatureSpec(name, "frame", (n,), "float32") for name, n in COLUMNS.items()]
    specs += [FeatureSpec(f"label.{name}", "frame", (), "float32") for name in LABELS]
    for spec in specs:
        feature = spec.name
        with store.writer(spec) as writer:
            for name in names:
                values = rng.standard_normal((rows, *spec.dims), np.float32)
                writer.begin()
                writer.append(Rows(values, np.ones(rows, bool)))
                kept = writer.finish()
                row = kept.published(
                    *("c", name, feature),
                    fingerprint=f"{feature}-{name}",
                    extractor_key=feature,
                    run="bench",
                )
                found.append(replace(row, t0=0.0, step=None))
    store.commit(found)
    return store


class ZarrWindows(Dataset[dict[str, torch.Tensor]]):
    """Each window read through zarr-python, as one would without affectstore's readers."""

    def __init__(self, store: FeatureStore, windows: Windows, order: np.ndarray) -> None:
        self._windows, self._order = windows, order
        self._arrays = {
            feature: [
                (
                    zarr.open_group(
                        f"{store.root}/parts/{feature}/{clip.results[feature].pieces[0].part}.zarr",
                        mode="r",
                    )["values"],
                    clip.results[feature].pieces[0].row_start,
                )
                for clip in windows.selection.clips
            ]
            for feature in COLUMNS
        }

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        number = self._order[i]
        clip, start = self._windows.clips[number], int(self._windows.starts[number])
        out = {}
        for feature, arrays in self._arrays.items():
            array, base = arrays[clip]
            out[feature] = torch.from_numpy(array[base + start : base + start + LENGTH])
        return out


def resident(windows: Windows) -> tuple[float, float]:
    """Windows/s of the second epoch, and the seconds that loading took."""
    began = time.perf_counter()
    next(windows.batches(BATCH))
    loading = time.perf_counter() - began
    began = time.perf_counter()
    count = sum(len(batch) for batch in windows.batches(BATCH, shuffle=True, epoch=1))
    return count / (time.perf_counter() - began), loading


def step_shares(windows: Windows) -> tuple[float, float]:
    """Seconds of a training step of GRU fusion, and the share that waits for data."""
    torch.manual_seed(0)
    net = GruFusion(Shape({branch: COLUMNS[f] for branch, f in BRANCHES.items()}))
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-4)
    waited, began, steps = 0.0, time.perf_counter(), 0
    batches: Iterator = windows.batches(BATCH, shuffle=True)
    for _ in range(12):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        output = net({b: batch.values[f] for b, f in BRANCHES.items()}, batch.mask)
        optimizer.zero_grad()
        output.square().mean().backward()
        optimizer.step()
        steps += 1
    total = time.perf_counter() - began
    return total / steps, waited / total


def main() -> None:
    """Print windows/s of both, the step's share, and the SVM grid's time."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder) / "store")
        windows = store.windows(list(COLUMNS), LENGTH, STRIDE, "c")
        ours, loading = resident(windows)
        order = np.random.default_rng(0).permutation(len(windows))[:256]
        loader = DataLoader(ZarrWindows(store, windows, order), batch_size=BATCH)
        began = time.perf_counter()
        theirs = sum(len(b["expnet"]) for b in loader) / (time.perf_counter() - began)
        print(
            f"{len(windows)} windows of {LENGTH} rows x {sum(COLUMNS.values())} columns, 1 thread"
        )
        print(f"  resident (loaded in {loading:.2f} s)    {ours:9,.0f} windows/s")
        print(
            f"  DataLoader on zarr-python    {theirs:9,.0f} windows/s, ours {ours / theirs:.0f} x"
        )
        seconds, share = step_shares(windows)
        print(f"  GRU fusion, batch {BATCH}: {seconds * 1000:.0f} ms a step, {share:.1%} for data")
    rng = np.random.default_rng(0)
    labels = np.arange(SVM_ROWS) % SVM_CLASSES
    rows = rng.standard_normal((SVM_ROWS, SVM_COLUMNS))
    rows[np.arange(SVM_ROWS), labels] += 3
    began = time.perf_counter()
    machine, shares = fit_machine(rows, labels, SVM_CLASSES)
    seconds = time.perf_counter() - began
    print(f"SVM grid of {len(shares)} points on {SVM_ROWS} x {SVM_COLUMNS}: {seconds:.0f} s")
    print(f"  chose {machine.point}: {shares[machine.point]:.1%} (chance {1 / SVM_CLASSES:.1%})")


if __name__ == "__main__":
    main()
