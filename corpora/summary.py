"""How a manifest's labels and splits are distributed: what ``ingest`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from corpora.manifest import Manifest

#: whole numbers of so few different values are counted, more are summed up
MOST_CLASSES = 20


def summarise(manifest: Manifest, leave_out: Collection[str] = ()) -> list[str]:
    """A line for the splits and for each label, of clips and of frames.

    Args:
        leave_out: clips that don't count.
    """
    said = []
    clips = [c for c in manifest.clips if c.clip not in leave_out]
    splits = Counter(c.split or "none" for c in clips)
    if {*splits} - {"none"}:
        said.append("splits: " + _counted(splits))
    for name in sorted({n for c in clips for n in c.labels}):
        given = [v for c in clips if (v := c.labels.get(name)) is not None]
        said.append(f"label {name}: {_spread(given)} ({len(given)} of {len(clips)} clips)")
    frames: dict[str, list[np.ndarray[tuple[int], np.dtype[np.generic]]]] = {}
    rows: Counter[str] = Counter()
    for clip, labels in manifest.frame_labels.items():
        for label in labels if clip not in leave_out else ():
            frames.setdefault(label.name, []).append(label.values[label.valid])
            rows[label.name] += len(label.values)
    for name in sorted(frames):
        values = np.concatenate(frames[name]).tolist()
        said.append(f"frame label {name}: {_spread(values)} ({len(values)} of {rows[name]} frames)")
    return said


def _spread(values: Sequence[object]) -> str:
    """Counts of words and of few whole numbers; else mean, deviation and range."""
    if not values:
        return "never set"
    counts = Counter(values)
    whole = all(isinstance(v, str | int) for v in counts)
    if whole and len(counts) <= MOST_CLASSES:
        return _counted(counts)
    if any(isinstance(v, str) for v in counts):
        return f"{len(counts)} different texts"
    numbers = np.array(values, np.float64)
    return (
        f"mean {numbers.mean():.3f}, deviation {numbers.std():.3f}, "
        f"{numbers.min() + 0.0:g} to {numbers.max() + 0.0:g}"
    )


def _counted(counts: Counter[object] | Counter[str]) -> str:
    return ", ".join(f"{k} {n}" for k, n in sorted(counts.items(), key=lambda item: str(item[0])))
