"""Sounds that tests make: the same samples everywhere, no file needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

KINDS = ("noise", "tone", "clicks", "silence", "loud and faint", "gaps")


def made_sound(kind: str, samples: int, rate: int = 16_000) -> NDArray[np.int16]:
    """Mono int16 of one kind."""
    rng = np.random.default_rng(7)
    time = np.arange(samples) / rate
    noise = rng.standard_normal(samples)
    sounds = {
        "noise": noise * 3000,
        "tone": 9000 * np.sin(2 * np.pi * 440 * time),
        "clicks": (np.arange(samples) % 5000 == 0) * 20_000.0,
        "silence": np.zeros(samples),
        "loud and faint": noise * np.where(time % 1 < 0.5, 6000, 3),
        "gaps": noise * np.where(time % 1 < 0.5, 6000, 0),
        "sweep": 9000 * np.sin(2 * np.pi * (50 + 1000 * time) * time),
    }
    return sounds[kind].astype(np.int16)


def write_wave(path: Path, samples: NDArray[np.int16], rate: int) -> str:
    """The path of a WAV file with these samples."""
    wavfile.write(path, rate, samples)
    return str(path)
