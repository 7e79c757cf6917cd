"""One medium under several names in one run: computed once, published under each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from corpora.adapters import load
from features.extractor import Batch, extractor
from features.media.video import decoder_starts, set_decoder_starts
from features.spec import Rows
from flows.ingest import ingest_manifest
from flows.request import Request
from flows.run import extract_plain
from flows.summary import Summary
from storage import FeatureStore
from storage.verify import verify
from tests.features.made_clips import make_clip
from tests.flows import test_across_clips as across
from tests.flows.chain_kit import Base, column, installed, spec

FRAMES = 30


@extractor(name="sided", version=1, inputs={"shade": "shade"}, attrs=("side",))
class Sided(Base):
    """The shade, or its opposite for a clip of the right one."""

    outputs = (spec("sided"),)

    def extract(self, batch: Batch) -> Rows:
        sign = -1.0 if batch.attrs.get("side") == "right" else 1.0
        return column(sign * batch.inputs["shade"].values[:, 0])


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch, (*across.ALL, Sided)):
        across.Doubled.batches.clear()
        yield


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three names of one medium, one of them a copy of the file, and a clip of its own."""
    picture = f"color=gray:size=64x48:rate={FRAMES},geq=lum='(60+N)':cb=128:cr=128"
    make_clip(tmp_path / "a.mp4", picture=picture, sound=False)
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    make_clip(tmp_path / "c.mp4", picture=picture.replace("+N", "+2*N"), sound=False)
    names = ("left,a.mp4,left", "right,a.mp4,right", "copy,b.mp4,left", "other,c.mp4,left")
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["clip_id,path,attr.side", *names]))
    return path


def made_store(table: Path, root: Path) -> FeatureStore:
    store = FeatureStore.create(root)
    ingest_manifest(store, load("table", str(table), "c"))
    return store


def run(store: FeatureStore, features: str = "squared,trend,sided", **others: object) -> Summary:
    asked = Request(store.root, features, device="cpu", **others)  # type: ignore[arg-type]
    return extract_plain(asked)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_medium_with_several_names_is_computed_once(
    table: Path, tmp_path: Path, workers: int
) -> None:
    store = made_store(table, tmp_path / "store")
    set_decoder_starts(0)
    done = run(store, workers=workers)
    assert done.complete
    assert decoder_starts() == 2, "one of each medium"
    rows = {(p.clip, p.feature): p for p in store.published()}
    names = {"left", "right", "copy"}
    for feature in ("shade", "doubled", "squared", "trend"):
        same = [rows[name, feature] for name in names]
        assert len({p.content for p in same}) == 1
        assert sorted(p.computed > 0 for p in same) == [False, False, True]
        assert len({piece.part for p in same for piece in p.pieces}) == 1, "stored once"
    assert sum(across.Doubled.batches) == 2 * FRAMES * (across.BLANK - 1) // across.BLANK, (
        "not even where rows wait for a full batch"
    )
    # what the clips' own attributes enter is each one's own
    assert rows["left", "sided"].content != rows["right", "sided"].content
    assert rows["left", "sided"].content == rows["copy", "sided"].content
    shade, left, right = (
        store.read(clip, feature).values
        for clip, feature in (("right", "shade"), ("left", "sided"), ("right", "sided"))
    )
    np.testing.assert_array_equal(left, shade)
    np.testing.assert_array_equal(right, -1 * shade)
    assert done.published + done.adopted == len(rows) == 4 * 5
    assert done.adopted == 2 * 4 + 1
    assert sum(done.by_feature.values()) == done.published
    (why,) = done.reasons["doubled"].values()
    assert (why.clips, why.rows, why.computed) == (4, 4 * FRAMES, 2 * FRAMES)
    assert not verify(store).problems


def test_each_name_holds_what_it_would_hold_alone(table: Path, tmp_path: Path) -> None:
    together = made_store(table, tmp_path / "together")
    run(together)
    lines = table.read_text().splitlines()
    for i, line in enumerate(lines[1:]):
        single = table.parent / f"one{i}.csv"
        single.write_text(f"{lines[0]}\n{line}")
        alone = made_store(single, tmp_path / f"alone{i}")
        run(alone)
        (clip,) = {p.clip for p in alone.published()}
        assert {(p.feature, p.fingerprint, p.content, p.t0) for p in alone.published()} == {
            (p.feature, p.fingerprint, p.content, p.t0)
            for p in together.published()
            if p.clip == clip
        }
    again = run(together)
    assert again.published == again.adopted == again.cut_off == 0
    other = run(together, settings={"shade": {"step": 8.0}})
    assert [*other.reasons["sided"]] == ["upstream shade changed"], "not the clip's side, maybe"


def test_rows_that_wait_for_a_full_batch_are_computed_once_where_nothing_else_is_to_do(
    table: Path, tmp_path: Path
) -> None:
    store = made_store(table, tmp_path / "store")
    run(store, "shade")
    done = run(store, "doubled")
    assert (done.published, done.adopted) == (2, 2)
    assert sum(across.Doubled.batches) == 2 * FRAMES * (across.BLANK - 1) // across.BLANK
