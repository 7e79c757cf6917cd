"""GRU fusion on a store of Aff-Wild2's size: one epoch, beside the bare steps, and the GPU's work.

``--share`` makes it smaller: .001 runs anywhere in a minute; without a GPU that is the default.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.training_windows import BRANCHES, COLUMNS, LABELS, LENGTH, STRIDE, make
from storage import FeatureStore
from storage.batches import Windows
from storage.statistics import Statistics
from trainers.frames import FrameRegression
from trainers.loop import Progress, fit
from trainers.models.gru_fusion import GruFusion, Shape
from trainers.models.scaling import ZScore
from trainers.recipes.rasipuram2020 import Network
from trainers.settings import TrainSettings

#: Aff-Wild2 as Rasipuram et al. 2020 count it
VIDEOS, FRAMES = 545, 2_786_201
#: seconds between two looks at the GPU
LOOK = 0.2


class Busy:
    """Looks, while it is open, at what share of the time the GPU computes (NVML's own figure)."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, float]] = []
        self.why_not = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Busy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def between(self, began: float, done: float) -> list[float]:
        """What was seen in that time, 0..1."""
        return [share for at, share in self._looks if began <= at <= done]

    def _look(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                self._looks.append((time.perf_counter(), utilisation()))
            except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as e:
                self.why_not = f"{e}; install nvidia-ml-py, or nvidia-smi"
                return


def utilisation() -> float:
    """0..1, by NVML where its package is there, else by nvidia-smi."""
    try:
        return torch.cuda.utilization() / 100
    except ModuleNotFoundError:
        if not shutil.which("nvidia-smi"):
            raise
    query = [
        "nvidia-smi",
        "--query-gpu=utilization.gpu",
        "--format=csv,noheader,nounits",
        "-i",
        "0",
    ]
    return float(subprocess.run(query, check=True, capture_output=True, text=True).stdout) / 100


class Epochs(Progress):
    """When the last epoch's batches began and were done, without what follows them."""

    def __init__(self) -> None:
        self.began = self.done = 0.0

    def epoch(self, epoch: int, epochs: int, batches: int) -> None:
        """The last one's beginning stays."""
        self.began = time.perf_counter()

    def batch(self, loss: float) -> None:
        """Each batch's loss was read back, so the device has done it."""
        self.done = time.perf_counter()


def network() -> Network:
    """The fusion network at full size, for rows of mean 0 and deviation 1."""
    scaling = {}
    for branch, feature in BRANCHES.items():
        zeros = np.zeros(COLUMNS[feature])
        made = Statistics(zeros, zeros + 1, zeros - 5, zeros + 5, np.ones(len(zeros), np.int64))
        scaling[branch] = ZScore((len(zeros),), made)
    shape = Shape({branch: COLUMNS[feature] for branch, feature in BRANCHES.items()})
    return Network(BRANCHES, nn.ModuleDict(scaling), GruFusion(shape))


def windows(store: FeatureStore, split: str, device: str) -> Windows:
    """The recipe's windows of a split."""
    names = list(COLUMNS)
    return store.windows(names, LENGTH, STRIDE, "c", split, labels=LABELS, device=device)


def bare(task: FrameRegression, settings: TrainSettings, batches: int) -> float:
    """Seconds of so many steps over one batch that lies on the device already."""
    batch = next(iter(task.batches(0)))
    optimizer, _ = task.optimizer()
    task.model.train()
    began = time.perf_counter()
    for _ in range(batches):
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(task.forward(batch).float(), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        float(loss.detach())
    return time.perf_counter() - began


def main() -> None:
    """Print the epoch's seconds, its ratio to bare steps, the wait for data, the GPU's share."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0 if gpu else 0.001)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", help="where the store is made; 33 GB at share 1")
    asked = parser.parse_args()
    device = "cuda" if gpu else "cpu"
    if gpu:
        print(f"GPU: {torch.cuda.get_device_name()}")
    else:
        torch.set_num_threads(1)
        print("no GPU here: this run is on the CPU, and says nothing about an H200")
    clips = max(3, round(VIDEOS * asked.share))
    rows = max(LENGTH, round(FRAMES * asked.share / clips))
    settings = TrainSettings(epochs=2, batch=asked.batch, patience=0, device=device)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        began = time.perf_counter()
        store = make(Path(folder) / "store", clips, rows)
        written = time.perf_counter() - began
        train, val = windows(store, "train", device), windows(store, "val", device)
        size = clips * rows * (sum(COLUMNS.values()) + len(LABELS)) * 4 / 1e9
        print(f"{clips} clips x {rows} frames x {sum(COLUMNS.values())} columns, {size:.2f} GB")
        print(f"  written in {written:.1f} s ({size * 1000 / written:.0f} MB/s); {train.loading}")
        began = time.perf_counter()
        next(iter(train.batches(asked.batch)))
        print(f"  loaded in {time.perf_counter() - began:.1f} s")
        torch.manual_seed(0)
        model = network().to(device)
        task = FrameRegression(
            model,
            train,
            val,
            LABELS,
            settings,
            lambda m: (torch.optim.RMSprop(m.parameters(), lr=1e-4), None),
        )
        told = Epochs()
        with Busy() as busy:
            state = fit(task, settings, Path(folder) / "run", told)
        seconds = told.done - told.began
        steps = task.batch_count()
        alone = bare(task, settings, min(steps, 200)) * steps / min(steps, 200)
    last = state.history[-1]
    print(f"second epoch, {len(train)} windows, {steps} steps of {asked.batch}: {seconds:.1f} s")
    print(f"  {len(train) / seconds:,.0f} windows/s; {last['data_seconds'] / seconds:.1%} for data")
    print(f"  {seconds / alone:.2f} x the bare steps on one resident batch")
    if asked.share < 1:
        print(f"  a whole Aff-Wild2 at this rate: {seconds / asked.share:.0f} s")
    looks = busy.between(told.began, told.done)
    if gpu and looks:
        print(f"  GPU busy {np.mean(looks):.0%}, the mean of {len(looks)} looks")
    elif gpu:
        print(f"  GPU's share of work not measured: {busy.why_not or 'the run was too short'}")


if __name__ == "__main__":
    main()
