"""Segment features without frames: rows beside each other are of one moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_kit import TIMELINE, configure, extracted, new_store, node

from features.spec import FeatureSpec, Rows
from storage import FeatureStore, StaleResult
from storage.clip_view import ClipView
from storage.resample import Resample

SLOW = FeatureSpec("slow", "segment", (), "float32", span=1.0)
FAST = FeatureSpec("fast", "segment", (), "float32", span=0.1)
LATE = FeatureSpec("late", "segment", (), "float32", span=0.5)
WHOLE = FeatureSpec("whole", "clip", (1,), "float32")
PACE = {"slow": (0.25, 1.0, 5), "fast": (0.25, 0.1, 50), "late": (2.0, 0.5, 4)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Every value is the second at which its row begins."""
    made = new_store(tmp_path_factory.mktemp("segments") / "s")
    for clip in ("a", "b"):
        for spec in (SLOW, FAST, LATE):
            t0, step, rows = PACE[spec.name]
            values = (t0 + step * np.arange(rows)).astype(np.float32)
            made.publish(clip, spec, Rows(values, np.ones(rows, bool), t0, step))
        made.publish(clip, WHOLE, Rows(np.full((1, 1), 7, np.float32), np.ones(1, bool)))
        times = np.arange(100) / 25
        made.publish(clip, TIMELINE, Rows(times, np.ones(100, bool)))
    return made


def lined(store: FeatureStore, *names: str, **how: object) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Values of the first clip; NaN where invalid."""
    (batch,) = store.sequences(names, "c", clips=["a"], **how).batches(1)  # type: ignore[arg-type]
    found = {}
    for name in names:
        values = batch.values[name][0].double().numpy()
        valid = batch.valid[name][0].numpy()
        found[name] = np.where(valid if values.ndim == 1 else valid[:, None], values, np.nan)
    return found


def test_the_first_one_leads_and_others_stand_by_their_last_row_that_has_begun(
    store: FeatureStore,
) -> None:
    found = lined(store, "slow", "fast")
    np.testing.assert_allclose(found["slow"], 0.25 + np.arange(5.0))
    np.testing.assert_allclose(found["fast"], 0.25 + np.arange(5.0), atol=1e-5)

    found = lined(store, "fast", "slow", "late")
    moments = 0.25 + 0.1 * np.arange(50)
    np.testing.assert_allclose(found["fast"], moments, atol=1e-5)
    np.testing.assert_allclose(found["slow"], 0.25 + np.floor(moments - 0.25 + 1e-6), atol=1e-5)
    late = np.where(moments + 0.1 > 2, 2 + np.floor((moments - 2 + 1e-6) / 0.5) / 2, np.nan)
    late = np.where(moments < 4, np.maximum(late, 2), np.nan)
    np.testing.assert_allclose(found["late"], late, atol=1e-5)


@pytest.mark.parametrize("fps", [4, 25])
def test_they_are_resampled_by_time(store: FeatureStore, fps: int) -> None:
    found = lined(store, "fast", "slow", resample=Resample(fps, "previous"))
    moments = 0.25 + np.arange(int(4.9 * fps + 1e-6) + 1) / fps
    wanted = 0.25 + np.floor((moments - 0.25 + 1e-6) / 0.1) * 0.1
    np.testing.assert_allclose(found["fast"], wanted, atol=1e-5)
    np.testing.assert_allclose(found["slow"], 0.25 + np.floor(moments - 0.25 + 1e-6), atol=1e-5)
    nearest = lined(store, "fast", resample=Resample(fps))["fast"]
    assert np.abs(nearest - moments).max() <= 0.05 + 1e-5


def test_a_clip_feature_never_leads_and_stands_everywhere(store: FeatureStore) -> None:
    found = lined(store, "whole", "slow")
    assert found["whole"].shape == (5, 1)
    assert (found["whole"] == 7).all()
    assert lined(store, "whole")["whole"].shape == (1, 1)


def test_timelines_are_looked_up_once(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    select = type(store).select

    def counting(self: FeatureStore, *words: object, **named: object) -> object:
        asked.append(words)
        return select(self, *words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store), "select", counting)
    monkeypatch.setattr(type(store), "rows", None)
    made = store.sequences(["slow", "timeline"], "c", resample=Resample(5))
    assert made.rows.rows.tolist() == [20, 20]
    assert len(asked) == 1, "a timeline that is read anyway isn't looked up again"


def test_the_clock_is_the_one_that_the_asked_variant_wants(tmp_path: Path) -> None:
    made, old, new = new_store(tmp_path / "s"), node(TIMELINE), node(TIMELINE, version=2)
    configure(made, old)
    configure(made, new, name="other")
    light = FeatureSpec("light", "frame", (), "float32")
    times = 3 + np.arange(100) / 25
    for clip in ("a", "b"):
        extracted(made, clip, TIMELINE, new, Rows(times, np.ones(100, bool)))
        made.publish(clip, light, Rows(np.zeros(100, np.float32), np.ones(100, bool)))
    resample = Resample(5)
    windows = made.sequences(["light"], "c", resample=resample, variant="other")
    assert windows.rows.rows.tolist() == [20, 20]
    np.testing.assert_array_equal(ClipView(windows.selection, 1).times("light"), times)
    with pytest.raises(StaleResult):
        made.sequences(["light"], "c", resample=resample)
    allowed = made.sequences(["light"], "c", resample=resample, stale="allow")
    assert allowed.rows.rows.tolist() == [20, 20]


def test_of_an_unlisted_clip_nothing_is_read_unless_it_is_named(tmp_path: Path) -> None:
    made = new_store(tmp_path / "s")
    for clip in ("a", "b"):
        made.publish(clip, WHOLE, Rows(np.ones((1, 1), np.float32), np.ones(1, bool)))
    table = made.clips("c").drop_columns(["corpus", "time"])
    made.upsert_clips("c", table.slice(0, 1), complete=True)
    found = made.clip_rows(["whole"], "c").selection
    assert [clip.clip for clip in found.clips] == ["a"]
    assert found.notes == ("1 clip of c left out: not listed by the last ingest",)
    named = made.clip_rows(["whole"], "c", clips=["a", "b"]).selection
    assert [clip.clip for clip in named.clips] == ["a", "b"]
    assert made.clips("c")["state"].to_pylist() == ["present", "missing"]
    made.upsert_clips("c", table, complete=True)
    assert len(made.clip_rows(["whole"], "c").selection) == 2
    assert made.clips("c")["problem"].to_pylist() == [None, None]
