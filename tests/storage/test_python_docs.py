"""The Python in docs/python.md runs, one block after the other, and gives what its words say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_kit import TIMELINE, clip_table, make_rows

from features.spec import FeatureSpec, Rows
from storage import FeatureStore

DOC = Path(__file__).parents[2] / "docs" / "python.md"
SOUND = FeatureSpec(
    "mfcc_mel",
    "frame",
    (168,),
    "float32",
    columns=tuple([f"mfcc_{i}" for i in range(40)] + [f"mel_{i}" for i in range(128)]),
)
TRACK = FeatureSpec("face_track", "frame", (2,), "float32", columns=("x0", "score"))
FRAMES = 40


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the doc's blocks leave."""
    store = FeatureStore.create(tmp_path / "my-store")
    store.upsert_clips("demo", clip_table("demo_1", "demo_2"))
    for number, clip in enumerate(("demo_1", "demo_2")):
        store.publish(clip, TIMELINE, Rows(np.arange(FRAMES) / 25, np.ones(FRAMES, bool)))
        for spec in (SOUND, TRACK):
            store.publish(clip, spec, make_rows(spec, FRAMES, seed=number))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL):
        exec(block, names)
    return names


def test_the_documented_reads_give_what_is_said(told: dict[str, Any]) -> None:
    store = told["store"]
    assert store.features("demo") == ["face_track", "mean_mel", "mfcc_mel", "timeline"]
    assert len(told["first"]) == 15
    assert told["frame"].shape == (FRAMES, 168)
    assert list(told["frame"].columns) == list(SOUND.columns)
    assert told["scores"].shape == (FRAMES,)
    assert told["everything"].sizes["time"] == 2 * FRAMES
    valid = told["array"].valid.compute()
    np.testing.assert_allclose(told["mean"], told["array"].compute()[valid].mean(0), rtol=1e-5)
    assert told["batch"].values["mfcc_mel"].shape[1:] == (15, 168)


def test_the_documented_dataset_feeds_workers(told: dict[str, Any]) -> None:
    import pickle

    clips = pickle.loads(pickle.dumps(told["Clips"](told["store"], "mfcc_mel", "demo").store))
    assert clips.features("demo") == told["store"].features("demo")
    made = told["Clips"](clips, "mfcc_mel", "demo")
    assert [made[i].shape for i in range(len(made))] == [(FRAMES, 168)] * 2


def test_the_documented_feature_of_ones_own_is_read_like_others(told: dict[str, Any]) -> None:
    found = told["writable"].read("demo_1", "mean_mel")
    np.testing.assert_array_equal(found.values, told["values"])


def test_a_name_alone_is_a_list_of_it(told: dict[str, Any]) -> None:
    store = told["store"]
    assert store.select("mfcc_mel") == store.select(["mfcc_mel"])
    assert repr(store.windows("mfcc_mel", 15, 10)) == "Windows(8 of mfcc_mel, clips=2, kept in ram)"
