"""The Delta logs tell which files a version is made of, in stores with very many commits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import FeatureStore
from storage.location import Location
from storage.log import DataFile, TableLog
from tests.storage.store_kit import clip_table, new_store


def log_of(versions: int, files: list[DataFile]) -> TableLog:
    return TableLog("catalogue", tuple(float(v) for v in range(versions)), tuple(files))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(1, 9))),
    st.sets(st.integers(0, 9)),
)
def test_a_file_serves_the_versions_between_its_coming_and_its_going(
    lives: list[tuple[int, int | None]], versions: set[int]
) -> None:
    files = [DataFile(f"f{i}", 1, added, gone) for i, (added, gone) in enumerate(lives)]
    wanted = [
        f
        for f in files
        if any(v >= f.added and (f.removed is None or v < f.removed) for v in versions)
    ]
    assert log_of(10, files).of(versions) == wanted


def test_twenty_thousand_commits_are_looked_through_at_once() -> None:
    count = 20_000
    log = log_of(count, [DataFile(f"f{i}", 1, i, count - 1) for i in range(count - 1)])
    start = time.process_time()
    assert log.of({log.newest}) == []
    assert len(log.of(log.current_since(0.0))) == count - 1
    assert log.of(range(count - 100, count)) != []
    assert time.process_time() - start < 2


def test_the_newest_changes_are_told_without_reading_the_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path / "store", ("a",))
    for i in range(12):
        store.upsert_clips("c", clip_table("a", subject=[f"s{i}"]))
    everything = store.log()
    read: list[str] = []
    real = Location.read_bytes

    def noted(self: Location, key: str) -> bytes:
        read.append(key)
        return real(self, key)

    monkeypatch.setattr(Location, "read_bytes", noted)
    fresh = FeatureStore.open(store.root)
    read.clear()
    assert fresh.log(3) == everything[:3]
    assert len([key for key in read if key.startswith("clips/")]) == 3
    assert fresh.log(len(everything) + 1) == everything
