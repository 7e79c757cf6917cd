"""Stores with several clips to a part, damage to do to their files, and ways to look at them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from features.spec import FeatureSpec
from storage import FeatureStore, Node, Published
from storage.keys import fingerprint, media_key
from storage.layout import part_key
from storage.part import StoredClip
from tests.storage.store_kit import (
    CROP,
    FACES,
    POINTS,
    SOUND,
    WHOLE,
    configure,
    make_rows,
    new_store,
    node,
)

SPECS = (FACES, CROP, POINTS, SOUND, WHOLE)
NODES = {spec.name: node(spec) for spec in SPECS}
#: rows of a made clip; a clip-level feature has one
ROWS = {spec.name: 40 for spec in SPECS} | {"whole": 1, "sound": 70_000}
CLIPS = ("a", "b", "d")


def filled_store(root: Path, clips: tuple[str, ...] = CLIPS, codec: str = "raw") -> FeatureStore:
    """A store with one part per feature, each holding all clips."""
    store = new_store(root, clips)
    configure(store, *NODES.values())
    for spec in SPECS:
        publish_together(store, spec, clips, codec=codec)
    return store


def copy_of(store: FeatureStore, root: Path) -> FeatureStore:
    """The same store at another place: quicker than to make it anew."""
    shutil.copytree(store.location.path, root)
    return FeatureStore.open(root)


def publish_together(
    store: FeatureStore,
    spec: FeatureSpec,
    clips: tuple[str, ...],
    *,
    made_by: Node | None = None,
    codec: str = "raw",
    seed: int = 0,
) -> list[Published]:
    """Publish made rows of several clips in one part, as a partition does.

    Rows follow from feature, clip and ``seed`` alone, so that publishing again gives the same.
    """
    results = staged_together(store, spec, clips, made_by=made_by, codec=codec, seed=seed)
    store.commit(results)
    return results


def staged_together(
    store: FeatureStore,
    spec: FeatureSpec,
    clips: tuple[str, ...],
    *,
    made_by: Node | None = None,
    codec: str = "raw",
    seed: int = 0,
) -> list[Published]:
    """The same, written and not yet committed."""
    made_by = made_by or NODES[spec.name]
    stored: list[StoredClip] = []
    with store.writer(spec, {"extractor": spec.name}, codec) as writer:
        for clip in clips:
            writer.begin()
            writer.append(make_rows(spec, ROWS[spec.name], seed_of(clip, seed)))
            stored.append(writer.finish())
    return [_result(clip, spec, made_by, rows) for clip, rows in zip(clips, stored, strict=True)]


def seed_of(clip: str, seed: int = 0) -> int:
    """The seed of a clip's rows."""
    return sum(clip.encode()) + 1000 * seed


def file_of(store: FeatureStore, result: Published, name: str) -> Path:
    """The shard file of one array of a result's first part."""
    folder = store.location.path / part_key(result.feature, result.pieces[0].part) / name
    return next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name == "0")


def flip(path: Path, position: int) -> None:
    """Turn all bits of one byte over."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(bytes(data))


def contents(store: FeatureStore) -> dict[tuple[str, str, str], str]:
    """(corpus, clip, feature) -> content hash of what the configuration wants."""
    found = store.select(sorted({r.feature for r in store.published()}))
    return {(r.corpus, r.clip, r.feature): r.content for r in found}


def _result(clip: str, spec: FeatureSpec, made_by: Node, rows: StoredClip) -> Published:
    media = media_key(f"sha-{clip}")
    row = rows.published(
        *("c", clip, spec.name),
        fingerprint=fingerprint(made_by, media, {}, {}),
        extractor_key=made_by.extractor_key,
        run="run-1",
    )
    return replace(row, media_key=media, seconds=0.5)
