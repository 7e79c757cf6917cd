"""Labels that the source gives no more: taken from the clips, or kept and named."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from corpora.manifest import ClipEntry, FrameLabels, Manifest
from features.spec import FeatureSpec, Rows
from flows.ingest import Ingested, ingest_manifest
from storage import FeatureStore, NotPublished
from storage.forget import forget
from storage.gc import gc
from storage.verify import verify
from tests.real_clips import Cli


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.create(tmp_path / "store")


def ingest(store: FeatureStore, **clips: str) -> Ingested:
    """A corpus of clips, each with the frame labels of these letters, and a clip label ``K``."""
    entries = tuple(
        ClipEntry(clip, f"/nowhere/{clip}.mp4", labels={"K": 1.0} if "K" in letters else {})
        for clip, letters in clips.items()
    )
    frames = {
        clip: tuple(
            FrameLabels(x, np.full(3, ord(x), np.float32), np.ones(3, bool))
            for x in letters
            if x.islower()
        )
        for clip, letters in clips.items()
    }
    return ingest_manifest(store, Manifest("c", entries, frames))


def labelled(store: FeatureStore) -> dict[str, str]:
    """Clip -> the letters of its labels, as trainers see them."""
    found = {row["clip"]: "K" if row.get("label.K") else "" for row in store.clips().to_pylist()}
    for result in store.published():
        found[result.clip] += result.feature.removeprefix("label.")
    return {clip: "".join(sorted(letters)) for clip, letters in found.items()}


def test_what_is_not_given_any_more_is_taken_and_tags_keep_it(store: FeatureStore) -> None:
    ingest(store, a="vw", b="v", d="v")
    store.tag("before")
    report = ingest(store, a="v", b="w", d="v")
    assert report.withdrawn == {"v": 1, "w": 1}
    assert labelled(store) == {"a": "v", "b": "w", "d": "v"}
    with pytest.raises(NotPublished):
        store.read("a", "label.w")
    gc(store, keep=timedelta(0), grace=timedelta(0))
    assert FeatureStore.open(store.root, at="before").read("a", "label.w").rows == 3
    assert verify(store).clean
    assert ingest(store, a="v", b="w", d="v").withdrawn == {}
    ingest(store, a="vw", b="w", d="v")
    assert labelled(store)["a"] == "vw"


def test_what_is_not_listed_or_not_named_stays_and_is_told(store: FeatureStore) -> None:
    ingest(store, a="vK", b="v", d="w")
    report = ingest(store, a="w", d="w")
    assert (report.withdrawn, report.kept_labels) == ({}, ["K", "v"])
    assert labelled(store) == {"a": "Kvw", "b": "v", "d": "w"}
    assert ingest(store, d="w").kept_labels == []


def test_what_somebody_published_stays(store: FeatureStore) -> None:
    ingest(store, a="v", b="v")
    spec = FeatureSpec("label.v", "frame", (), "float32")
    store.publish("a", spec, Rows(np.zeros(3, np.float32), np.ones(3, bool)), corpus="c")
    assert ingest(store, a="", b="v").withdrawn == {"v": 1}
    assert store.read("a", "label.v").values.tolist() == [0, 0, 0]


def test_the_summary_counts_no_forgotten_clip(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("clip_id,path,level\na,a.mp4,1\nb,b.mp4,2\n")
    arguments = ("ingest", table, "--store", tmp_path / "s", "--corpus", "c")
    assert "(2 of 2 clips)" in cli(*arguments).stdout
    forget(FeatureStore.open(tmp_path / "s"), [("c", "a")])
    assert "level: 2 1 (1 of 1 clips)" in cli(*arguments).stdout


def test_the_command_names_them(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("clip_id,path,mood,level\na,a.mp4,glad,1\n")
    arguments = ("ingest", table, "--store", tmp_path / "s", "--corpus", "c")
    assert "kept as they were" not in cli(*arguments).stderr
    table.write_text("clip_id,path,level\na,a.mp4,1\n")
    assert "doesn't give, kept as they were: mood;" in " ".join(cli(*arguments).stderr.split())
    table.write_text("clip_id,path,level,mood\na,a.mp4,1,\n")
    cli(*arguments)
    assert FeatureStore.open(tmp_path / "s").clip("a")["label.mood"] is None
