"""Small stores and rows that the tests of the store share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.spec import FeatureSpec, Rows
from storage import Configuration, Failure, FeatureStore, Node, Published
from storage.keys import extractor_key, fingerprint, media_key, placed

FACES = FeatureSpec("faces", "frame", (3,), "float32", columns=("x", "y", "score"), units="pixel")
CROP = FeatureSpec("crop", "frame", (2, 2), "uint8")
POINTS = FeatureSpec("points", "frame", (2,), "float32", ragged=True)
SOUND = FeatureSpec("sound", "sample", (), "int16")
SEGMENT = FeatureSpec("segment", "segment", (2,), "float32")
WHOLE = FeatureSpec("whole", "clip", (4,), "float64")
TIMELINE = FeatureSpec("timeline", "frame", (), "float64", units="s")


def new_store(root: Path, clips: tuple[str, ...] = ("a", "b"), corpus: str = "c") -> FeatureStore:
    """A store with clips whose media differ."""
    store = FeatureStore.create(root)
    store.upsert_clips(corpus, clip_table(*clips))
    return store


def clip_table(*clips: str, **columns: list[object]) -> pa.Table:
    """Clips at made-up paths; the medium is named after the clip."""
    given: dict[str, list[object]] = {
        "clip": list(clips),
        "uri": [f"/media/{clip}.mp4" for clip in clips],
        "sha256": [f"sha-{clip}" for clip in clips],
        "media_key": [media_key(f"sha-{clip}") for clip in clips],
    }
    return pa.table(given | columns)


def node(spec: FeatureSpec, *inputs: str, version: int = 1) -> Node:
    """A node that reads media where it has no inputs."""
    key = extractor_key(spec.name, version, {}, {}, {})
    slots = tuple((f"slot_{feature}", feature) for feature in inputs)
    return Node(spec.name, spec.name, version, {}, {}, {}, key, not inputs, slots)


def configure(store: FeatureStore, *nodes: Node, name: str = "default") -> None:
    """Make the nodes the store's configuration of that name."""
    store.save_configuration(Configuration(name, f"{name}-{len(nodes)}", nodes))


def make_rows(spec: FeatureSpec, rows: int, seed: int = 0) -> Rows:
    """Random rows, some of them invalid."""
    rng = np.random.default_rng(seed)
    offsets = None
    count = rows
    if spec.ragged:
        offsets = np.concatenate([[0], rng.integers(0, 4, rows).cumsum()]).astype(np.int64)
        count = int(offsets[-1])
    values = (rng.random((count, *spec.dims)) * 200).astype(spec.dtype)
    valid = rng.random(-(-rows // spec.block)) < 0.8
    step = {"sample": 1 / 16_000, "segment": 0.5}.get(spec.rate)
    return Rows(values, valid, 0.25, step, offsets, spec.block)


def extracted(
    store: FeatureStore,
    clip: str,
    spec: FeatureSpec,
    made_by: Node,
    rows: Rows,
    *,
    corpus: str = "c",
    reads: tuple[Published, ...] = (),
) -> Published:
    """Publish rows as an extractor's run would: under the fingerprint of node and clip."""
    result = staged(store, clip, spec, made_by, rows, corpus=corpus, reads=reads)
    store.commit([result])
    return result


def staged(
    store: FeatureStore,
    clip: str,
    spec: FeatureSpec,
    made_by: Node,
    rows: Rows,
    *,
    corpus: str = "c",
    reads: tuple[Published, ...] = (),
) -> Published:
    """Write a part, closed, and the record that a commit would publish."""
    with store.writer(spec, {"extractor": made_by.extractor}) as writer:
        writer.begin()
        writer.append(rows)
        stored = writer.finish()
    media = store.clip(clip, corpus)["media_key"]
    known = {read.feature: read.content for read in reads}
    contents = {read.feature: placed(read) for read in reads}
    row = stored.published(
        *(corpus, clip, spec.name),
        fingerprint=fingerprint(made_by, media, {}, contents),
        extractor_key=made_by.extractor_key,
        run="run-1",
    )
    return replace(
        row,
        media_key=media if made_by.reads_media else None,
        inputs={slot: (f, known[f]) for slot, f in made_by.inputs},
        seconds=0.5,
    )


def failure(clip: str, made_by: Node, key: str, message: str, corpus: str = "c") -> Failure:
    """A quarantine row."""
    return Failure(
        corpus, clip, made_by.feature, key, "decode_failed", message, "log", 1, "run-1",
        datetime.now(UTC),
    )  # fmt: skip


def assert_same(found: Rows, wanted: Rows) -> None:
    """Equal values, flags, offsets and place on the clock."""
    np.testing.assert_array_equal(found.values, wanted.values)
    assert found.values.dtype == wanted.values.dtype
    np.testing.assert_array_equal(found.valid, wanted.valid)
    assert (found.t0, found.step, found.block) == (wanted.t0, wanted.step, wanted.block)
    if wanted.offsets is None:
        assert found.offsets is None
    else:
        np.testing.assert_array_equal(found.offsets, wanted.offsets)
