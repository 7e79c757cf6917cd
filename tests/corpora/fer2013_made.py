"""A small table in FER-2013's true layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

USAGES = ("Training", "PublicTest", "PrivateTest")


def made_table(
    path: Path, images: NDArray[np.uint8], emotions: Sequence[int], usages: Sequence[str]
) -> Path:
    """Write ``emotion,pixels,Usage``: images ``(n, 48, 48)``, the CSV's own numbers."""
    lines = ["emotion,pixels,Usage"]
    for image, emotion, usage in zip(images, emotions, usages, strict=True):
        lines.append(f"{emotion},{' '.join(map(str, image.ravel().tolist()))},{usage}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def noise(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Images that no lossy codec keeps."""
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), dtype=np.uint8)
