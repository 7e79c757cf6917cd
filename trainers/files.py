"""Files of a run that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def publish(path: Path, data: bytes | str) -> None:
    """Write aside, then rename: a kill leaves the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
