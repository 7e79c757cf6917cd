"""A small store with what kuhnke2020 reads; every picture and every row of sound is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from storage.keys import media_key
from tests.trainers.trainer_kit import published

FACE = FeatureSpec("face_112", "frame", (112, 112, 3), "uint8")
MASK = FeatureSpec("face_mask", "frame", (112, 112), "uint8")
SOUND = FeatureSpec("logmel_64", "segment", (64,), "float32")
TIMELINE = FeatureSpec("timeline", "frame", (), "float64")
LABELS = {
    "valence": FeatureSpec("label.valence", "frame", (), "float32"),
    "arousal": FeatureSpec("label.arousal", "frame", (), "float32"),
    "expression": FeatureSpec("label.expression", "frame", (), "int8"),
    "AU12": FeatureSpec("label.AU12", "frame", (), "int8"),
}
#: seconds of each clip's frames; the third has a variable frame rate
TIMES = (
    np.arange(60) / 30,
    0.5 + np.arange(20) / 25,
    np.array([0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.6, 0.8, 1.0]),
)
#: container second and number of rows of each clip's sound
SOUNDS = ((0.0, 1400), (0.7, 90), (0.0, 101))
NAMES = ("one", "two", "three")


def face_of(clip: int, row: int) -> NDArray[np.uint8]:
    """Grey that tells clip and row, brighter to the right."""
    ramp = np.arange(112, dtype=np.uint8) // 8
    picture = np.zeros((112, 112, 3), np.uint8) + ramp[None, :, None]
    return picture + np.uint8(20 + 70 * clip + row)


def mask_of(clip: int, row: int) -> NDArray[np.uint8]:
    """As the face, otherwise."""
    return np.asarray(255 - face_of(clip, row)[..., 0], np.uint8)


def sound_of(clip: int) -> NDArray[np.float32]:
    """Rows of noise; those of the second clip are partly invalid."""
    rows = np.random.default_rng(clip).normal(-30, 12, (SOUNDS[clip][1], 64)).astype(np.float32)
    if clip == 1:
        rows[40:50] = np.nan
    return rows


def made_face_store(root: Path) -> FeatureStore:
    """Three clips: one and two for training, three for validation; frame 5 has no face."""
    store = FeatureStore.create(root)
    table = {
        "clip": list(NAMES),
        "uri": [f"/media/{n}.mp4" for n in NAMES],
        "sha256": [f"sha-{n}" for n in NAMES],
        "media_key": [media_key(f"sha-{n}") for n in NAMES],
        "subject": list(NAMES),
        "split": ["train", "train", "val"],
        # in the tasks, clips may be of other splits
        "label.split_va": ["train", "train", "val"],
        "label.split_expr": ["val", "train", "val"],
        "label.split_au": [None, "train", "val"],
    }
    store.upsert_clips("c", pa.table(table))
    rows: dict[FeatureSpec, list[Rows]] = {}
    for clip, times in enumerate(TIMES):
        count = len(times)
        valid = np.arange(count) != 5
        faces = np.stack([face_of(clip, i) for i in range(count)]) * valid[:, None, None, None]
        masks = np.stack([mask_of(clip, i) for i in range(count)]) * valid[:, None, None]
        rows.setdefault(FACE, []).append(Rows(faces.astype(np.uint8), valid))
        rows.setdefault(MASK, []).append(Rows(masks.astype(np.uint8), valid))
        rows.setdefault(TIMELINE, []).append(Rows(times, np.ones(count, bool)))
        sound = sound_of(clip)
        rows.setdefault(SOUND, []).append(
            Rows(sound, np.isfinite(sound[:, 0]), SOUNDS[clip][0], 0.01)
        )
        rng = np.random.default_rng(50 + clip)
        known = np.arange(count) % 7 != 3
        for name, spec in LABELS.items():
            drawn = rng.uniform(-1, 1, count) if name in ("valence", "arousal") else None
            made = rng.integers(0, 7 if name == "expression" else 2, count)
            values = made if drawn is None else np.where(known, drawn, np.nan)
            values = np.where(known, values, 0 if drawn is None else np.nan).astype(spec.dtype)
            rows.setdefault(spec, []).append(Rows(values, known))
    store.commit([p for spec, made in rows.items() for p in published(store, spec, [*NAMES], made)])
    return store
