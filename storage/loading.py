"""Where a trainer's rows are kept: on the device, in memory, or read anew in every epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from storage.clip_rows import ClipRows

Mode = Literal["device", "ram", "stream"]

#: share of the free memory that rows may take: the model, its gradients and the rest need some
DEVICE_SHARE, RAM_SHARE = 0.6, 0.5

#: values ``(windows, length, *dims)`` and validity ``(windows, length)``
Gathered = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Loading:
    """What was chosen, and why.

    Attributes:
        bytes: of all rows.
        free: bytes that the chosen place has, or that the rows would have needed less than; what
            it has promised to other rows isn't free.
        wanted: what was asked for, if anything was.
    """

    mode: Mode
    bytes: int
    free: int
    wanted: Mode | None = None

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:.1f} MB" if self.bytes < 1e9 else f"{self.bytes / 1e9:.1f} GB"
        place = {
            "device": "resident on the device, windows are gathered there",
            "ram": "resident in memory",
            "stream": "streamed: clips of a part are read together, in shuffled order",
        }[self.mode]
        if self.wanted == "device" != self.mode:
            place += ", not on a device: batches are made by the CPU"
        return f"{size} of rows, {place} ({self.free / 1e9:.1f} GB free)"


#: choices whose rows will be kept but aren't there yet -> ``cuda`` or ``cpu``
_promised: WeakKeyDictionary[Loading, str] = WeakKeyDictionary()


def choose(bytes_: int, device: torch.device, mode: Mode | None = None) -> Loading:
    """The fastest mode that the rows fit into, beside all others that were promised that place.

    A promise ends with its ``Loading``, or when ``kept`` says that the rows are there.

    Args:
        mode: takes this one, whatever the size.
    """
    if device.type == "cuda":
        free, promised = torch.cuda.mem_get_info(device)[0], _promised_to("cuda")
        if mode == "device" or (mode is None and bytes_ + promised <= DEVICE_SHARE * free):
            return _promise(Loading("device", bytes_, max(0, free - promised), mode), "cuda")
    free, promised = free_ram(), _promised_to("cpu")
    left = max(0, free - promised)
    if mode in ("ram", "device") or (mode is None and bytes_ + promised <= RAM_SHARE * free):
        return _promise(Loading("ram", bytes_, left, mode), "cpu")
    return Loading("stream", bytes_, left, mode)


def kept(loading: Loading) -> None:
    """The rows are where they were promised to be: what is free there has become less."""
    _promised.pop(loading, None)


def _promise(loading: Loading, place: str) -> Loading:
    _promised[loading] = place
    return loading


def _promised_to(place: str) -> int:
    return sum(loading.bytes for loading, where in list(_promised.items()) if where == place)


def free_ram() -> int:
    """Bytes of memory that this process may still take, its control group's limit included.

    What the system only keeps of files counts as free.
    """
    free = _numbers(Path("/proc/meminfo")).get("MemAvailable:", 0) * 1024
    if not free:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return free
    files = _numbers(group / "memory.stat").get("inactive_file", 0)
    return max(0, min(free, limit - used + files))


def _numbers(path: Path) -> dict[str, int]:
    """``name number …`` lines of a file of the system; empty if it isn't there."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}


class Resident:
    """All rows of a selection, read once, end to end, in memory or on the device.

    Attributes:
        bases: int64 ``(clips,)``, where each clip's rows begin.
    """

    def __init__(self, rows: ClipRows, device: torch.device) -> None:
        self.bases = np.cumsum(rows.rows) - rows.rows
        total = int(rows.rows.sum())
        specs = rows.selection.specs
        self._device = device
        self._values = {
            name: torch.empty(
                (total, *specs[name].dims), dtype=torch_dtype(specs[name].dtype), device=device
            )
            for name in rows.names
        }
        self._valid = {
            name: torch.empty(total, dtype=torch.bool, device=device) for name in rows.names
        }
        for clip, base in enumerate(self.bases.tolist()):
            for name, (values, valid) in rows.read(clip).items():
                stop = base + len(values)
                self._values[name][base:stop].copy_(as_tensor(values))
                self._valid[name][base:stop].copy_(as_tensor(valid))

    def gather(
        self, clips: NDArray[np.int64], starts: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> tuple[dict[str, Gathered], torch.Tensor]:
        """Windows ``[start, start + count)``, padded to the longest by zeros, invalid.

        Returns:
            Per feature its values and validity; the mask ``(windows, length)`` of rows that
            are there. On the device where the rows are.
        """
        length = int(counts.max(initial=0))
        first = torch.from_numpy(self.bases[clips] + starts).to(self._device)
        lengths = torch.from_numpy(counts).to(self._device)
        steps = torch.arange(length, device=self._device)
        mask = steps[None, :] < lengths[:, None]
        index = torch.where(mask, first[:, None] + steps[None, :], 0)
        whole = bool((counts == length).all())
        out: dict[str, Gathered] = {}
        for name, flat in self._values.items():
            values, valid = flat[index], self._valid[name][index]
            if not whole:
                values[~mask], valid = 0, valid & mask
            out[name] = (values, valid)
        return out, mask


def collate(windows: list[Mapping[str, tuple[NDArray[np.generic], NDArray[np.bool_]]]]) -> tuple[
    dict[str, Gathered], torch.Tensor
]:  # fmt: skip
    """Windows of unequal length as one padded batch; see ``Resident.gather``."""
    counts = [len(next(iter(w.values()))[1]) for w in windows]
    length = max(counts, default=0)
    mask = torch.arange(length)[None, :] < torch.tensor(counts, dtype=torch.int64)[:, None]
    out: dict[str, Gathered] = {}
    for name in windows[0] if windows else ():
        first = windows[0][name][0]
        values = np.zeros((len(windows), length, *first.shape[1:]), first.dtype)
        valid = np.zeros((len(windows), length), bool)
        for i, window in enumerate(windows):
            values[i, : counts[i]], valid[i, : counts[i]] = window[name]
        out[name] = (as_tensor(values), as_tensor(valid))
    return out, mask


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype in which a numpy one is held; unsigned integers get the next wider one."""
    found = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}.get(name, name)
    dtype = getattr(torch, found)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"torch has no dtype for {name}")
    return dtype


def as_tensor(values: NDArray[np.generic]) -> torch.Tensor:
    """The array as a tensor that shares its memory where it may."""
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if native.dtype.name in ("uint16", "uint32", "uint64"):
        native = native.astype({"uint16": np.int32}.get(native.dtype.name, np.int64))
    return torch.from_numpy(native if native.flags.writeable else native.copy())
