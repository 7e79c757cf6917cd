"""The clips table: upserts, labels, names."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pyarrow as pa
import pytest
from store_kit import clip_table, new_store

from storage import FeatureStore, UnknownClip, UnknownCorpus, WrongClips


def column(store: FeatureStore, name: str, corpus: str = "c") -> dict[str, object]:
    """Clip -> value."""
    rows = store.clips(corpus).to_pylist()
    return {row["clip"]: row[name] for row in rows}


def test_clips_come_back_in_order_with_everything_given(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")
    assets = [[{"role": "faces", "uri": "/f", "sha256": "1"}], []]
    given = clip_table("b", "a", assets=assets, duration=[1.5, 2.0], width=[640, None])
    store.upsert_clips("c", given)
    rows = store.clips().to_pylist()
    assert [row["clip"] for row in rows] == ["a", "b"]
    assert rows[1]["assets"] == assets[0]
    assert (rows[1]["width"], rows[0]["width"], rows[0]["duration"]) == (640, None, 2.0)
    assert rows[0]["state"] == "present"
    assert store.clip("a")["uri"] == "/media/a.mp4"


def test_the_same_clips_again_make_no_new_version(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")
    given = clip_table("a", "b", **{"label.v": [math.nan, 0.5], "assets": [[], []]})
    store.upsert_clips("c", given, complete=True)
    version = store.versions["clips"]
    store.upsert_clips("c", given, complete=True)
    assert store.versions["clips"] == version


def test_an_upsert_is_one_commit_and_marks_the_time_of_changed_clips_only(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    before, version = column(store, "time"), store.versions["clips"]
    store.upsert_clips("c", clip_table("a", "b", duration=[1.0, None]))
    after = column(store, "time")
    assert store.versions["clips"] == version + 1
    assert after["b"] == before["b"]
    assert after["a"] > before["a"]  # type: ignore[operator]


def test_absent_clips_become_missing_only_if_the_table_is_complete(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    store.upsert_clips("c", clip_table("a"))
    assert column(store, "state") == {"a": "present", "b": "present"}
    store.upsert_clips("c", clip_table("a"), complete=True)
    assert column(store, "state") == {"a": "present", "b": "missing"}
    store.upsert_clips("c", clip_table("a", "b"), complete=True)
    assert column(store, "state") == {"a": "present", "b": "present"}


def test_corpora_do_not_touch_each_other(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    before = store.clips("c")
    store.upsert_clips("o'brien", clip_table("a", "z"), complete=True)
    store.upsert_clips("o'brien", clip_table("z"), complete=True)
    assert store.clips("c").equals(before)
    assert column(store, "state", "o'brien") == {"a": "missing", "z": "present"}
    assert store.corpora() == ["c", "o'brien"]


def test_labels_may_be_added_later_and_keep_what_is_known(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    store.upsert_clips("c", pa.table({"clip": ["b"], "label.emotion": ["joy"]}))
    store.upsert_clips("d", clip_table("x", **{"label.valence": [0.5]}))
    assert column(store, "label.emotion") == {"a": None, "b": "joy"}
    assert column(store, "uri") == {"a": "/media/a.mp4", "b": "/media/b.mp4"}
    assert column(store, "label.valence", "d") == {"x": 0.5}


def test_a_label_of_whole_numbers_may_become_real(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")
    store.upsert_clips("c", clip_table("a", **{"label.v": pa.array([1], pa.int32())}))
    store.upsert_clips("d", clip_table("x", **{"label.v": [0.5]}))
    assert column(store, "label.v") == {"a": 1.0}
    assert column(store, "label.v", "d") == {"x": 0.5}
    store.upsert_clips("e", clip_table("y", **{"label.v": pa.array([2], pa.int8())}))
    assert column(store, "label.v", "e") == {"y": 2.0}


@pytest.mark.parametrize(
    ("corpus", "complete", "said"),
    [
        ("c", False, "label.v is double in c and string now; ingest the whole corpus anew"),
        ("other", True, "label.v is double in corpus c and string in other now"),
        ("other", False, "label.v is double in corpus c and string in other now"),
    ],
)
def test_a_label_of_another_kind_is_refused(
    tmp_path: Path, corpus: str, complete: bool, said: str
) -> None:
    store = FeatureStore.create(tmp_path / "s")
    store.upsert_clips("c", clip_table("a", "b", **{"label.v": [1.0, 2.0]}))
    version = store.versions["clips"]
    words = clip_table("a", **{"label.v": ["joy"]})
    with pytest.raises(WrongClips, match=re.escape(said)):
        store.upsert_clips(corpus, words, complete=complete)
    assert store.versions["clips"] == version


def test_a_whole_corpus_may_be_given_anew_with_a_label_of_another_kind(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")
    store.upsert_clips("c", clip_table("a", "b", **{"label.v": ["0.5", "x"]}))
    store.upsert_clips("d", clip_table("y", **{"label.w": ["word"]}))
    store.upsert_clips("c", clip_table("a", "new", **{"label.v": [0.5, None]}), complete=True)
    assert column(store, "label.v") == {"a": 0.5, "b": None, "new": None}
    assert column(store, "label.v", "d") == {"y": None}
    assert column(store, "label.w", "d") == {"y": "word"}
    store.upsert_clips("d", clip_table("y", **{"label.v": [2]}))
    assert column(store, "label.v", "d") == {"y": 2.0}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (clip_table("x", "y", "x"), "'x' is listed 2 times"),
        (clip_table("x", ""), "a clip has no id"),
        (clip_table("x", emotion=["joy"]), "emotion"),
        (clip_table("x", **{"label.v": [[1]]}), "labels are numbers"),
        (pa.table({"clip": ["new"], "label.v": [1]}), "new clip 'new' needs"),
        (pa.table({"path": ["x"]}), "no column 'clip'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(
    tmp_path: Path, table: pa.Table, message: str
) -> None:
    store = new_store(tmp_path / "s")
    with pytest.raises(WrongClips, match=message):
        store.upsert_clips("c", table)
    assert store.clips()["clip"].to_pylist() == ["a", "b"]


def test_unknown_names_come_with_the_nearest(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", ("a01_woman", "a02_man"), "afew")
    with pytest.raises(UnknownClip, match="did you mean 'a02_man'"):
        store.clip("a02_men")
    with pytest.raises(UnknownCorpus, match="did you mean 'afew'"):
        store.clips("afwe")


def test_a_clip_that_two_corpora_have_must_be_told_apart(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    store.upsert_clips("d", clip_table("a"))
    with pytest.raises(
        UnknownClip, match=r"in c and d; say which: --corpus c \(in Python corpus='c'\)"
    ):
        store.clip("a")
    assert store.clip("a", "d")["corpus"] == "d"
