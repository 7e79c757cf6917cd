"""Records survive the catalogue, and reading one clip touches only the files it must."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_kit import CROP, FACES, make_rows, new_store, node, staged

from features.spec import FeatureSpec
from storage import Piece, Published
from storage.catalogue import extractor_table, published_records, published_table, spec_of

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
count = st.integers(0, 2**53)
share = st.floats(0, 1)
seconds = st.floats(-1e6, 1e6)
pieces = st.lists(st.builds(Piece, text, count, count), max_size=3).map(tuple)
results = st.builds(
    Published,
    corpus=text,
    clip=text,
    feature=text,
    fingerprint=text,
    extractor_key=text,
    media_key=st.none() | text,
    inputs=st.dictionaries(text, st.tuples(text, text), max_size=3),
    content=text,
    rows=count,
    valid_share=share,
    t0=seconds,
    step=st.none() | seconds,
    pieces=pieces,
    bytes=count,
    computed=count,
    reused=count,
    seconds=seconds,
    device=text,
    host=text,
    run=text,
    time=st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)),
)


@given(st.lists(results, max_size=4))
def test_published_records_survive_the_table(given: list[Published]) -> None:
    found = published_records(published_table(given))
    assert sorted(found, key=repr) == sorted(given, key=repr)
    assert [r.time for r in found] == sorted(r.time for r in given)


@pytest.mark.parametrize("spec", [FACES, CROP, FeatureSpec("x", "clip", (), "int64")])
def test_a_spec_survives_the_extractors_table(spec: FeatureSpec) -> None:
    table = extractor_table({("key", spec.name): (spec, {"version": 1})})
    assert spec_of(table["spec"][0].as_py()) == spec


def test_reading_one_clip_opens_only_the_files_that_may_hold_it(tmp_path: Path) -> None:
    names = tuple(f"clip{i:03d}" for i in range(40))
    store = new_store(tmp_path / "s", names)
    result = staged(store, names[0], FACES, node(FACES), make_rows(FACES, 3))
    before: set[Path] = set()
    for start in range(0, 40, 10):
        store.commit([replace(result, clip=name) for name in names[start : start + 10]])
        files = set((tmp_path / "s/catalogue").glob("*.parquet"))
        if start != 20:
            for file in files - before:
                file.unlink()
        before = files
    assert store.catalogue(clip="clip025")["clip"].to_pylist() == ["clip025"]
    assert [r.clip for r in store.published(clips=["clip021", "clip028"])] == ["clip021", "clip028"]


def test_the_catalogue_is_filtered_and_cut_to_columns(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    for clip in "ab":
        for spec in (FACES, CROP):
            store.publish(clip, spec, make_rows(spec, 3))
    found = store.catalogue("c", "b", ["faces", "none"], ["clip", "feature"])
    assert found.to_pylist() == [{"clip": "b", "feature": "faces"}]
    assert len(store.catalogue()) == 4
    assert len(store.catalogue(features=[])) == 0
    assert len(store.catalogue("d")) == 0


def test_quotes_in_names_are_names(tmp_path: Path) -> None:
    name = """it's "odd" \\ % ünï"""
    store = new_store(tmp_path / "s", (name, "a"), "o'c")
    store.publish(name, FACES, make_rows(FACES, 3))
    assert [r.clip for r in store.published(corpus="o'c", clips=[name])] == [name]
    assert store.read(name, "faces").rows == 3
