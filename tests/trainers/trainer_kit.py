"""Small stores and tasks that the tests of the trainers share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.spec import FeatureSpec, Rows
from storage import FeatureStore, Published
from storage.keys import media_key

SOUND = FeatureSpec("mfcc_mel", "frame", (6,), "float32")
FACE = FeatureSpec("expnet", "frame", (5,), "float32")
POSE = FeatureSpec("facemesh_714", "frame", (4,), "float32")
WHOLE = FeatureSpec("opensmile_is10", "clip", (12,), "float32")
EMOTIONS = ("angry", "happy", "sad")


AROUSAL = FeatureSpec("label.arousal", "frame", (), "float32")
VALENCE = FeatureSpec("label.valence", "frame", (), "float32")


def made_store(root: Path, clips: int = 12, rows: int = 40) -> FeatureStore:
    """Clips whose sound tells arousal, whose face tells valence, whose functionals tell emotion.

    Two clips a subject, the last third is ``val``; some rows are invalid or unlabelled.
    """
    store = FeatureStore.create(root)
    names = [f"clip_{i:02d}" for i in range(clips)]
    emotions = [EMOTIONS[i % 3] for i in range(clips)]
    table = {
        "clip": names,
        "uri": [f"/media/{n}.mp4" for n in names],
        "sha256": [f"sha-{n}" for n in names],
        "media_key": [media_key(f"sha-{n}") for n in names],
        "subject": [f"s{i // 2}" for i in range(clips)],
        "split": ["train" if i < clips * 2 // 3 else "val" for i in range(clips)],
        "label.emotion": emotions,
        "label.level": [EMOTIONS.index(e) - 1.0 for e in emotions],
    }
    store.upsert_clips("c", pa.table(table))
    rows_of: dict[FeatureSpec, list[Rows]] = {}
    for i in range(clips):
        rng = np.random.default_rng(i)
        count = rows - i % 3
        time = np.arange(count) / 8
        arousal = 0.7 * np.sin(time + rng.uniform(0, 6))
        valence = 0.7 * np.cos(1.7 * time + rng.uniform(0, 6))
        for spec, signal in ((SOUND, arousal), (FACE, valence), (POSE, valence)):
            values = rng.normal(0, 0.3, (count, *spec.dims)) + signal[:, None]
            valid = rng.random(count) > 0.1
            values[~valid] = np.nan
            rows_of.setdefault(spec, []).append(Rows(values.astype(np.float32), valid))
        for spec, signal in ((AROUSAL, arousal), (VALENCE, valence)):
            known = rng.random(count) > 0.1
            labels = np.where(known, signal, np.nan).astype(np.float32)
            rows_of.setdefault(spec, []).append(Rows(labels, known))
        whole = rng.normal(0, 1, (1, 12))
        whole[0, EMOTIONS.index(emotions[i]) * 3] += 5
        whole[0, 11] = 7  # a column that is constant
        rows_of.setdefault(WHOLE, []).append(Rows(whole.astype(np.float32), np.ones(1, bool)))
    store.commit([p for spec, made in rows_of.items() for p in published(store, spec, names, made)])
    return store


def clips_table(names: list[str], splits: list[str], labels: dict[str, list[Any]]) -> pa.Table:
    """Clips of made-up files, two a subject."""
    return pa.table(
        {
            "clip": names,
            "uri": [f"/media/{n}.mp4" for n in names],
            "sha256": [f"sha-{n}" for n in names],
            "media_key": [media_key(f"sha-{n}") for n in names],
            "subject": [f"s{i // 2}" for i in range(len(names))],
            "split": splits,
            **labels,
        }
    )


def published(
    store: FeatureStore, spec: FeatureSpec, names: list[str], made: list[Rows], corpus: str = "c"
) -> list[Published]:
    """All clips' rows of one feature in one part; what a commit publishes."""
    found = []
    with store.writer(spec, {"extractor": "made"}) as writer:
        for name, rows in zip(names, made, strict=True):
            writer.begin()
            writer.append(rows)
            found.append(
                writer.finish().published(
                    *(corpus, name, spec.name),
                    fingerprint=f"{spec.name}-{name}",
                    extractor_key=f"key-{spec.name}",
                    run="made",
                )
            )
    return found
