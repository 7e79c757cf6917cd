"""Stores of real clips, in this process: ingest, extract, read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from corpora.adapters import load
from features.canonical import Json
from flows.ingest import ingest_manifest
from flows.pipeline import configure
from flows.request import Request
from flows.run import extract_plain
from flows.summary import Summary
from storage import FeatureStore

CORPUS = "c"


def new_store(root: Path, files: Iterable[Path]) -> FeatureStore:
    """A store of these media files, as clips of their names."""
    folder = root / "media"
    folder.mkdir()
    for path in files:
        (folder / path.name).symlink_to(path)
    return ingested(root / "store", folder)


def ingested(root: Path, source: Path) -> FeatureStore:
    """A store of what ``source`` is."""
    store = FeatureStore.create(root, exist_ok=True)
    ingest_manifest(store, load(None, str(source), CORPUS))
    return store


def extracted(store: FeatureStore, features: str = "openface", **params: Json) -> Summary:
    """Extract with these parameters of ``openface``, which stay the store's."""
    store.save_configuration(configure({"openface": params}))
    return extract_plain(Request(store.root, features))


def failures(summary: Summary) -> dict[str, str]:
    """Clip -> code and message of its failure, of ``openface`` alone."""
    found = [f for f in summary.failures if f["feature"] == "openface"]
    return {f["clip"]: f"{f['code']}: {f['message']}" for f in found}
