"""plan --detail: per clip which feature, why, and how many rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.made_store import make_store
from flows.detail import CLIPS_APART, detail, groups
from flows.pipeline import configure, with_ancestors
from flows.request import Request
from flows.run import plan_request
from storage import FeatureStore
from tests.real_clips import Cli

NODES = with_ancestors(configure({}), ["identity"])
CHANGED = {"faces": {"min_face": 40}}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """More clips than are shown one by one, all published; then two new ones."""
    return make_store(tmp_path_factory.mktemp("many") / "store", CLIPS_APART + 1, NODES)


def test_each_clip_and_feature_has_a_row(many: FeatureStore) -> None:
    plan = plan_request(many, Request(many.root, "identity", settings=CHANGED))
    rows = detail(plan, many.catalogue()).to_pylist()
    assert len(rows) == 2 * (CLIPS_APART + 1)
    assert rows[0] == {
        "corpus": "made",
        "clip": "clip0000000",
        "feature": "faces",
        "certain": True,
        "reason": "extractor changed",
        "rows": 60,
    }
    assert (rows[1]["feature"], rows[1]["certain"]) == ("identity", False)
    assert rows[1]["reason"] == "after faces"


def test_many_clips_with_the_same_work_are_one_group(many: FeatureStore) -> None:
    many.upsert_clips("other", pa.table({"clip": ["new"], "uri": ["/nowhere"], "media_key": ["m"]}))
    plan = plan_request(many, Request(many.root, "identity", settings=CHANGED))
    made, new = groups(detail(plan, many.catalogue()))
    assert (made.clips, made.names[0], len(made.names)) == (CLIPS_APART + 1, "made/clip0000000", 3)
    assert made.works[0].rows == 60 * (CLIPS_APART + 1)
    assert new.names == ("other/new",)
    assert (new.works[0].reason, new.works[0].rows) == ("new clip", None)


def test_the_command_shows_few_clips_one_by_one(tmp_path: Path, cli: Cli) -> None:
    store = make_store(tmp_path / "store", 2, NODES)
    words = ("plan", "--store", store.root, "--features", "faces", "--set", "faces.min_face=40")
    printed = cli(*words, "--detail").stdout
    assert "made/clip0000000\n  + faces" in printed
    assert "made/clip0000001\n  + faces" in printed
    assert "up to 60 rows" in printed
