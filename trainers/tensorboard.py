"""TensorBoard logs, where they are asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from trainers.errors import ExtraMissing


class Logs:
    """One scalar per metric and epoch; writes nothing without a folder.

    Raises:
        ExtraMissing: a folder is given and tensorboardX isn't installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._writer = folder, cast(Any, None)
        if folder is not None and importlib.util.find_spec("tensorboardX") is None:
            raise ExtraMissing(
                "train.tensorboard=true needs tensorboardX; pip install 'affectstore[tensorboard]'"
            )

    def write(self, entry: Mapping[str, float]) -> None:
        """Add an epoch's numbers."""
        if self._folder is None:
            return
        if self._writer is None:  # a run that is finished leaves no empty file each time
            from tensorboardX import SummaryWriter

            self._writer = SummaryWriter(str(self._folder))
        for name, value in entry.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(entry["epoch"]))

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
