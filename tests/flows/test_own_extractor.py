"""The extractor of docs/extractors.md works as it stands there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from corpora.adapters import load
from corpora.demo import make_demo
from features import registry
from features.extractor import Declaration
from features.plugins import Offer
from flows import pipeline
from flows.ingest import ingest_manifest
from flows.pipeline import parse_settings
from flows.request import Request
from flows.run import extract_plain
from storage import FeatureStore

DOC = (Path(__file__).parents[2] / "docs" / "extractors.md").read_text()


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declaration]:
    """The doc's first code block, declared as if its package were installed."""
    lines = DOC[DOC.index("    from typing") :].splitlines()
    code = "\n".join(line[4:] for line in takewhile(lambda x: x[:4].isspace() or not x, lines))
    space: dict[str, object] = {"__name__": "my_package.brightness"}
    exec(compile(code, "docs/extractors.md", "exec"), space)
    declared: Declaration = space["Brightness"].declaration  # type: ignore[attr-defined]

    offers = [Offer("my_package.brightness:Brightness", space["Brightness"])]
    monkeypatch.setattr(registry, "offers", lambda group, leave_out: iter(offers))
    caches = (registry._found, pipeline._instance)
    for cache in caches:
        cache.cache_clear()
    yield declared
    for cache in caches:
        cache.cache_clear()


def test_it_is_listed_planned_extracted_and_reuses_frames(
    brightness: Declaration, tmp_path: Path
) -> None:
    assert "brightness" in registry.feature_specs()
    root = tmp_path / "store"
    media = make_demo(tmp_path / "media", clips=1, seconds=1.0)
    ingest_manifest(FeatureStore.create(root), load("demo", str(media), "demo"))
    assert extract_plain(Request(str(root), features="brightness")).complete
    store = FeatureStore.open(root)
    rows = store.read("demo_1", "brightness")
    crops = store.read("demo_1", "face_112")
    assert rows.valid.any()
    np.testing.assert_allclose(
        rows.values[rows.valid], crops.values[crops.valid].mean((1, 2, 3)), rtol=1e-5
    )
    strict = parse_settings(["face_track.min_score=.99995"])
    again = extract_plain(Request(str(root), features="brightness", settings=strict))
    lost = rows.valid & ~store.read("demo_1", "brightness", variant=f"run:{again.run}").valid
    assert lost.any(), "the stricter track loses no frame: the test shows nothing"
    found = again.reasons["brightness"]["upstream face_112 changed"]
    assert found.computed == lost.sum() < found.rows
