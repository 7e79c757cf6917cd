"""A small store with all that guo2018 reads: the class is in the pictures and in the sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from storage.keys import media_key
from tests.trainers.trainer_kit import published

EMOTIONS = ("angry", "happy", "sad")
TIMELINE = FeatureSpec("timeline", "frame", (), "float64")
FACE = FeatureSpec("face_eyes_224", "frame", (20, 20, 3), "uint8")
PROVIDED = FeatureSpec("faces_provided", "frame", (20, 20, 3), "uint8")
SHORT = FeatureSpec("shortterm_34", "segment", (34,), "float32")
WHOLE = FeatureSpec("opensmile_is10", "clip", (12,), "float32")
IMAGE = FeatureSpec("frame_48", "frame", (48, 48, 3), "uint8")
EMOTION = FeatureSpec("label.emotion", "frame", (), "int64")


def guo_store(
    root: Path,
    clips: int = 18,
    splits: Sequence[str | None] = ("train", "val"),
    *,
    labelled: bool = True,
) -> FeatureStore:
    """Clips ``clip_00`` … of the corpus ``c``; two thirds are ``train``, the rest the others.

    The last clip has neither faces nor sound.
    """
    store = FeatureStore.create(root)
    names = [f"clip_{i:02d}" for i in range(clips)]
    learned = clips * 2 // 3
    rest = [splits[1:][i // 3 % len(splits[1:])] for i in range(clips - learned)]
    table = {
        "clip": names,
        "uri": [f"/media/{n}.mp4" for n in names],
        "sha256": [f"sha-{n}" for n in names],
        "media_key": [media_key(f"sha-{n}") for n in names],
        "subject": [f"s{i // 3}" for i in range(clips)],
        "split": [splits[0]] * learned + rest,
        "label.emotion": [EMOTIONS[i % 3] for i in range(clips)],
    }
    if not labelled:
        del table["label.emotion"]
    store.upsert_clips("c", pa.table(table))
    made: dict[FeatureSpec, list[Rows]] = {}
    for i in range(clips):
        rng, kind, last = np.random.default_rng(i), i % 3, i == clips - 1
        frames = 20 + i
        made.setdefault(TIMELINE, []).append(Rows(np.arange(frames) / 25, np.ones(frames, bool)))
        for spec in (FACE, PROVIDED):
            values = rng.integers(0, 80, (frames, *spec.dims)).astype(np.uint8)
            values[:, 6 * kind : 6 * kind + 6] += 150
            valid = (rng.random(frames) > 0.2) & (not last)
            values[~valid] = 0
            made.setdefault(spec, []).append(Rows(values, valid))
        rows = 30 + 5 * (i % 4)
        sound = rng.normal(0, 1, (rows, 34)).astype(np.float32)
        sound[:, 10 * kind : 10 * kind + 10] += 1.5
        heard = np.full(rows, not last)
        sound[~heard] = np.nan
        made.setdefault(SHORT, []).append(Rows(sound, heard, 0.0, 0.05))
        whole = rng.normal(0, 1, (1, 12))
        whole[0, 3 * kind : 3 * kind + 3] += 2
        if last:
            whole[:] = np.nan
        made.setdefault(WHOLE, []).append(Rows(whole.astype(np.float32), np.array([not last])))
    store.commit([p for spec, rows in made.items() for p in published(store, spec, names, rows)])
    return store


def add_fer(store: FeatureStore, images: int = 21) -> None:
    """FER-2013's splits as the adapter and ``frame_48`` leave them, as the corpus ``fer``."""
    names = ["train", "val"]
    table = {
        "clip": names,
        "uri": [f"/media/fer-{n}.mkv" for n in names],
        "sha256": [f"fer-{n}" for n in names],
        "media_key": [media_key(f"fer-{n}") for n in names],
        "split": names,
    }
    store.upsert_clips("fer", pa.table(table))
    made: dict[FeatureSpec, list[Rows]] = {IMAGE: [], EMOTION: []}
    for seed in range(2):
        classes = np.arange(images) % 7
        values = np.random.default_rng(seed).integers(0, 90, (images, 48, 48, 3), dtype=np.uint8)
        for image, kind in zip(values, classes.tolist(), strict=True):
            image[6 * kind : 6 * kind + 6] += 150
        made[IMAGE].append(Rows(values, np.ones(images, bool)))
        made[EMOTION].append(Rows(classes.astype(np.int64), np.ones(images, bool)))
    store.commit(
        [p for spec, rows in made.items() for p in published(store, spec, names, rows, "fer")]
    )
