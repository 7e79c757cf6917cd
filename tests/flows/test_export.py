"""Export: one clip at a time, no file over another, and a say in what happens to stale clips."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from features.spec import FeatureSpec
from flows import export_clips
from flows.cli import commands  # noqa: F401
from flows.cli.app import app
from flows.export import CannotExport, export
from flows.export_clips import Clips
from storage import FeatureStore
from storage.errors import NotPublished, StaleResult
from tests.storage.store_kit import (
    FACES,
    POINTS,
    SOUND,
    TIMELINE,
    clip_table,
    configure,
    extracted,
    make_rows,
    new_store,
    node,
)

IMAGES = FeatureSpec("images", "frame", (4, 4, 3), "uint8")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Two corpora with a clip ``a`` each; ``b`` is in the first alone."""
    made = new_store(tmp_path / "store", ("a", "b"), "c")
    made.upsert_clips("d", clip_table("a"))
    for i, (corpus, clip) in enumerate([("c", "a"), ("c", "b"), ("d", "a")]):
        for spec in (SOUND, IMAGES, FACES, POINTS):
            made.publish(clip, spec, make_rows(spec, 3 + i, i), corpus=corpus)
    return made


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_clips_of_one_name_in_two_corpora_keep_apart(store: FeatureStore, tmp_path: Path) -> None:
    written = export(store, "sound", tmp_path / "o.wav")
    assert names(tmp_path / "o") == ["c/a.wav", "c/b.wav", "d/a.wav"]
    for entry in written:
        with wave.open(str(entry.path)) as file:
            assert file.getnframes() == entry.rows
    export(store, "images", tmp_path / "i")
    assert [len(names(tmp_path / "i" / n)) for n in ("c/a", "c/b", "d/a")] == [3, 4, 5]
    export(store, "sound", tmp_path / "one.wav", corpus="c")
    assert names(tmp_path / "one") == ["a.wav", "b.wav"]


def test_two_clips_never_share_a_file(store: FeatureStore, tmp_path: Path) -> None:
    store.upsert_clips("e/f", clip_table("a"))
    store.upsert_clips("e", clip_table("f/a"))
    store.publish("a", SOUND, make_rows(SOUND, 3), corpus="e/f")
    store.publish("f/a", SOUND, make_rows(SOUND, 3), corpus="e")
    with pytest.raises(CannotExport, match=r"e/f/a\.wav"):
        export(store, "sound", tmp_path / "o.wav")


@pytest.mark.parametrize(
    ("feature", "name"),
    [("sound", "o.wav"), ("images", "o"), ("faces", "o.npy"), ("faces", "o.csv")],
)
def test_a_clip_is_written_before_the_next_is_read(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feature: str, name: str
) -> None:
    held = list[Any]()
    before = Clips._read

    def read(self: Clips, result: Any) -> Any:
        import gc
        import weakref

        gc.collect()
        assert sum(ref() is not None for ref in held) <= 1, "the clip before last is kept"
        made = before(self, result)
        held.append(weakref.ref(made))
        return made

    monkeypatch.setattr(export_clips.Clips, "_read", read)
    export(store, feature, tmp_path / name)
    assert len(held) == 3


@pytest.mark.parametrize("spec", [FACES, POINTS, IMAGES])
def test_an_array_file_holds_all_rows_in_order(
    store: FeatureStore, tmp_path: Path, spec: FeatureSpec
) -> None:
    export(store, spec.name, tmp_path / "o.npy")
    owners = (("c", "a"), ("c", "b"), ("d", "a"))
    want = np.concatenate([store.read(n, spec.name, corpus=c).values for c, n in owners])
    found = np.load(tmp_path / "o.npy")
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)


def test_tables_hold_all_rows_in_order(store: FeatureStore, tmp_path: Path) -> None:
    for name in ("o.parquet", "o.csv"):
        export(store, "faces", tmp_path / name)
    table = pyarrow.parquet.read_table(tmp_path / "o.parquet")
    assert pyarrow.csv.read_csv(tmp_path / "o.csv").num_rows == table.num_rows == 3 + 4 + 5
    assert table["clip"].to_pylist() == ["a"] * 3 + ["b"] * 4 + ["a"] * 5
    want = store.read("b", "faces", corpus="c").values[:, 2]
    np.testing.assert_array_equal(table["score"].to_numpy()[3:7], want)


def test_images_of_a_longer_clip_are_not_taken_for_its_own(
    store: FeatureStore, tmp_path: Path
) -> None:
    folder = tmp_path / "o"
    for clip, rows in (("a", 3), ("b", 4), ("b", 4)):
        export(store, "images", folder, clip=clip, corpus="c")
        assert len(names(folder)) == rows
    before = (folder / "000000.png").read_bytes()
    with pytest.raises(CannotExport, match="holds more images than c/a has rows"):
        export(store, "images", folder, clip="a", corpus="c")
    assert (folder / "000000.png").read_bytes() == before


def test_nothing_half_is_left_of_an_export_that_fails(store: FeatureStore, tmp_path: Path) -> None:
    to = tmp_path / "out" / "o.npy"
    export(store, "faces", to, corpus="c")
    before = to.read_bytes()
    other = FeatureSpec("faces", "frame", (5,), "float32")
    store.publish("a", other, make_rows(other, 3, 9), corpus="d")
    for path in (to, to.with_suffix(".parquet")):
        with pytest.raises(CannotExport, match="d/a: faces has"):
            export(store, "faces", path)
    assert names(to.parent) == ["o.npy"]
    assert to.read_bytes() == before


@pytest.fixture
def stale(tmp_path: Path) -> FeatureStore:
    """Of three clips, the second one's faces are of an earlier version, as is its timeline."""
    made = new_store(tmp_path / "store", ("a", "b", "e"))
    old, new, clock = node(FACES), node(FACES, version=2), node(TIMELINE)
    configure(made, clock, new)
    for i, clip in enumerate("abe"):
        extracted(made, clip, FACES, old if clip == "b" else new, make_rows(FACES, 3 + i, i))
        extracted(made, clip, TIMELINE, clock, make_rows(TIMELINE, 3 + i, i))
    return made


def test_a_stale_clip_is_named_and_may_be_skipped_or_written(
    stale: FeatureStore, tmp_path: Path
) -> None:
    to = tmp_path / "o.parquet"
    with pytest.raises(StaleResult, match=r"1 clip of 3 have no faces .*: c/b; .*--stale skip"):
        export(stale, "faces", to)
    assert not to.exists()
    out = list[tuple[str, str, str]]()
    export(stale, "faces", to, stale="skip", left_out=lambda *told: out.append(told))
    assert out == [("c", "b", "stale")]
    assert set(pyarrow.parquet.read_table(to)["clip"].to_pylist()) == {"a", "e"}
    export(stale, "faces", to, stale="allow")
    table = pyarrow.parquet.read_table(to)
    assert table["clip"].to_pylist() == ["a"] * 3 + ["b"] * 4 + ["e"] * 5
    assert not np.isnan(table["time"].to_numpy()).any()
    with pytest.raises(CannotExport, match="nothing of faces"):
        export(stale, "faces", to, clip="b", stale="skip")


def test_a_clip_that_is_not_listed_any_more_is_read_by_its_name_alone(
    stale: FeatureStore, tmp_path: Path
) -> None:
    with pytest.raises(StaleResult):
        stale.array("faces")
    stale.upsert_clips("c", pa.table({"clip": ["a", "e"]}), complete=True)
    to = tmp_path / "o.parquet"
    export(stale, "faces", to)
    assert set(pyarrow.parquet.read_table(to)["clip"].to_pylist()) == {"a", "e"}
    assert stale.array("faces").clips["clip"].to_pylist() == ["a", "e"]
    assert [r.clip for r in stale.select(["timeline"])] == ["a", "e"]
    assert [r.clip for r in stale.select(["timeline"], clips=["b"])] == ["b"]
    export(stale, "faces", to, clip="b", stale="allow")
    assert set(pyarrow.parquet.read_table(to)["clip"].to_pylist()) == {"b"}


def test_the_command_says_what_it_left_out(stale: FeatureStore, tmp_path: Path) -> None:
    words = ["export", "--store", stale.root, "--feature", "faces", "--to", str(tmp_path / "o.csv")]
    done = CliRunner().invoke(app, [*words, "--stale", "skip"])
    assert done.exit_code == 0, done.exception
    assert "c/b: left out" in done.output
    wrong = CliRunner().invoke(app, [*words, "--stale", "maybe"])
    assert isinstance(wrong.exception, CannotExport)


def test_clips_without_a_result_are_named_and_the_command_fails(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.upsert_clips("d", clip_table("new"))
    words = ["export", "--store", store.root, "--feature", "faces", "--to", str(tmp_path / "o.csv")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "d/new: left out, faces was never published" in done.output
    assert pyarrow.csv.read_csv(tmp_path / "o.csv").num_rows == 3 + 4 + 5
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["skipped"] == ["d/new"]
    assert CliRunner().invoke(app, [*words, "--corpus", "c"]).exit_code == 0
    with pytest.raises(NotPublished, match="d/new: faces was never published"):
        export(store, "faces", tmp_path / "o.csv", clip="new")


def test_a_label_is_no_concern_of_clips_without_one(store: FeatureStore, tmp_path: Path) -> None:
    label = FeatureSpec("label.smile", "frame", (1,), "float32")
    store.publish("b", label, make_rows(label, 4), corpus="c")
    out = list[str]()
    export(store, "label.smile", tmp_path / "o.npy", left_out=lambda *told: out.extend(told))
    assert out == []
