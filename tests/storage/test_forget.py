"""After withdrawn consent nothing of a clip is left, under no tag, in no file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from storage import FeatureStore, NotPublished, ReadOnlyStore, UnknownClip
from storage.clips import FORGOTTEN
from storage.compact import compact
from storage.forget import Forgotten, _scrub, _withdraw, find_clips, forget
from storage.gc import gc
from storage.location import Location
from storage.redact import redact_files
from storage.tags import delete_tag, find_tag, set_tag
from storage.verify import REMAINS, verify
from tests.storage.store_kit import (
    FACES,
    POINTS,
    SOUND,
    assert_same,
    clip_table,
    configure,
    failure,
    make_rows,
)
from tests.storage.upkeep_kit import (
    CLIPS,
    NODES,
    ROWS,
    SPECS,
    contents,
    copy_of,
    file_of,
    filled_store,
    publish_together,
    seed_of,
)

NONE = timedelta(0)


@pytest.fixture(scope="module", params=["raw", "zstd"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    store = filled_store(tmp_path_factory.mktemp("made") / "store", codec=request.param)
    subjects: list[object] = [f"subject-{c}" for c in CLIPS]
    labels: list[object] = [f"label-{c}" for c in CLIPS]
    store.upsert_clips("c", clip_table(*CLIPS, **{"subject": subjects, "label.mood": labels}))
    store.commit([], [failure("b", NODES["faces"], "key", "a message")])
    set_tag(store.location, "paper", store.versions)
    return store


@pytest.fixture
def store(made: FeatureStore, tmp_path: Path) -> FeatureStore:
    return copy_of(made, tmp_path / "store")


def texts(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file's bytes; of Parquet files their rows, unpacked."""
    for path in root.rglob("*"):
        if path.suffix == ".parquet":
            yield path, repr(pq.ParquetFile(path).read().to_pylist()).encode()
        elif path.is_file():
            yield path, path.read_bytes()


@pytest.mark.parametrize("clip", ["b", "d"])
def test_no_file_holds_anything_of_the_clip(store: FeatureStore, clip: str) -> None:
    rows = [make_rows(spec, ROWS[spec.name], seed_of(clip)).values for spec in (FACES, SOUND)]
    words = [f"/media/{clip}.mp4", f"sha-{clip}", f"subject-{clip}", f"label-{clip}"]
    secrets = {*(w.encode() for w in words), *(values[3:7].tobytes() for values in rows)}
    everything = [data for _, data in texts(store.location.path)]
    assert len([s for s in secrets if any(s in data for data in everything)]) >= len(words)
    forget(store, [("c", clip)])
    for path, data in texts(store.location.path):
        for secret in secrets:
            assert secret not in data, path
        if path.suffix == ".parquet":
            for row in pq.ParquetFile(path).read().to_pylist():
                assert row.get("clip") != clip or row["state"] == FORGOTTEN


def test_verify_proves_that_nothing_is_left(store: FeatureStore) -> None:
    forget(store, [("c", "b")])
    assert verify(store).clean
    first = store.published(clips=["d"], features=["faces"])[0]
    path = file_of(store, first, "valid")
    data = bytearray(path.read_bytes())
    data[first.pieces[0].row_start - 20] ^= 1  # where the forgotten clip's rows were
    path.write_bytes(bytes(data))
    assert [(p.kind, p.feature) for p in verify(store).problems] == [(REMAINS, "faces")]


def test_the_other_clips_read_as_before_now_and_under_the_tag(store: FeatureStore) -> None:
    rows = {(c, s.name): store.read(c, s.name) for c in ("a", "d") for s in SPECS}
    before = contents(store)
    forget(store, [("c", "b")])
    tagged = FeatureStore.open(store.root, at=find_tag(store.location, "paper").versions)
    for view in (store, FeatureStore.open(store.root), tagged):
        for (clip, feature), wanted in rows.items():
            assert_same(view.read(clip, feature), wanted)
        with pytest.raises((UnknownClip, NotPublished)):
            view.read("b", "faces")
    assert contents(store) == {k: v for k, v in before.items() if k[1] != "b"}


def test_every_earlier_version_can_still_be_read(store: FeatureStore) -> None:
    newest = store.versions["catalogue"]
    counts = {v: _others(store, v) for v in range(newest + 1)}
    forget(store, [("c", "b")])
    assert {v: _others(store, v) for v in range(newest + 1)} == counts
    assert counts[newest] == 10


def _others(store: FeatureStore, version: int) -> int:
    rows = FeatureStore.open(store.root, at=version).catalogue(columns=["clip"])
    return sum(clip != "b" for clip in rows["clip"].to_pylist())


def test_a_tombstone_stays_and_holds_nothing_but_the_id(store: FeatureStore) -> None:
    forget(store, [("c", "b")])
    row = store.clip("b")
    kept = {k: v for k, v in row.items() if v is not None and k != "time"}
    assert kept == {"corpus": "c", "clip": "b", "state": FORGOTTEN}


def test_ingest_does_not_bring_it_back_unless_told_to(store: FeatureStore) -> None:
    forget(store, [("c", "b")])
    store.upsert_clips("c", clip_table("a", "b", "d"), complete=True)
    assert store.clip("b")["state"] == FORGOTTEN
    store.upsert_clips("c", clip_table("a", "d"), complete=True)
    assert store.clip("b")["state"] == FORGOTTEN
    store.upsert_clips("c", clip_table("b"), revive=True)
    assert (store.clip("b")["state"], store.clip("b")["sha256"]) == ("present", "sha-b")


def test_forgetting_again_finds_nothing_more(store: FeatureStore) -> None:
    forget(store, [("c", "b")])
    versions = store.versions
    again = forget(store, [("c", "b")])
    assert (again.wiped, again.removed, again.files) == (0, 0, 0)
    assert store.versions == versions


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_was_broken_off_is_completed_by_forgetting_again(
    store: FeatureStore, steps: int
) -> None:
    names = {"c": {"b"}}
    _withdraw(store, "c", ["b"])
    if steps > 1:
        _scrub(store.location, names, Forgotten([]), 0.0)
    if steps > 2:
        redact_files(store.location, "clips", names)
    assert not verify(store).clean
    forget(store, [("c", "b")])
    assert verify(store).clean
    assert len(store.published()) == 10


def test_a_store_with_forgotten_clips_can_be_compacted_and_collected(store: FeatureStore) -> None:
    publish_together(store, FACES, CLIPS, seed=5)
    forget(store, [("c", "b")])
    compact(store)
    delete_tag(store.location, "paper")
    assert gc(store, keep=NONE, grace=NONE).files
    assert verify(store).clean
    assert verify(FeatureStore.open(store.root)).clean


def test_old_parts_that_compact_left_are_scrubbed_too(store: FeatureStore) -> None:
    publish_together(store, FACES, ("a", "b"), seed=5)
    compact(store)
    forget(store, [("c", "b")])
    assert verify(store).clean


def test_a_part_of_the_forgotten_alone_is_removed(store: FeatureStore) -> None:
    publish_together(store, POINTS, ("b",), seed=5)
    assert forget(store, [("c", "b")]).removed == 1
    assert verify(store).clean


def test_a_subject_is_forgotten_with_all_clips(store: FeatureStore) -> None:
    store.upsert_clips("c", clip_table("a", "b", subject=["s", "s"]))
    clips = find_clips(store, subject="s")
    assert clips == [("c", "a"), ("c", "b")]
    forget(store, clips)
    assert {r.clip for r in store.published()} == {"d"}
    assert verify(store).clean
    with pytest.raises(UnknownClip, match="subject"):
        find_clips(store, subject="s")


def test_rows_that_another_clip_shares_stay_and_are_told(store: FeatureStore) -> None:
    store.upsert_clips("c", clip_table("b"))
    twin = clip_table("twin")
    twin = twin.set_column(2, "sha256", [["sha-b"]])
    store.upsert_clips("c", twin)
    (own,) = store.published(clips=["b"], features=["sound"])
    store.commit([replace(own, clip="twin")])
    done = forget(store, [("c", "b")])
    assert done.shared == [("c", "twin")]
    found = store.read("twin", "sound", stale="allow")
    np.testing.assert_array_equal(
        found.values, make_rows(SOUND, ROWS["sound"], seed_of("b")).values
    )
    assert verify(store).clean


def test_a_young_part_that_nobody_names_is_told(store: FeatureStore) -> None:
    with store.writer(FACES) as writer:
        writer.begin()
        writer.append(make_rows(FACES, 4))
        writer.finish()
    assert forget(store, [("c", "b")]).young == 1
    assert forget(store, [("c", "b")], grace=NONE).removed == 1


def test_what_a_broken_off_run_was_writing_goes_too(store: FeatureStore) -> None:
    left = store.location.path / "parts" / "faces" / ".staging-0011"
    left.mkdir()
    (left / "values").write_bytes(make_rows(FACES, 4).values.tobytes())
    assert forget(store, [("c", "b")]).young == 1
    past = time.time() - 2 * 86_400
    for path in (left / "values", left):
        os.utime(path, (past, past))
    (problem,) = verify(store).problems
    assert (problem.kind, problem.part) == (REMAINS, "parts/faces/.staging-0011")
    assert forget(store, []).removed == 1
    assert not left.exists()
    assert verify(store).clean


@pytest.mark.parametrize(
    "name",
    ["part-00000-aa.zstd.parquet#1", ".staging-0011", "_delta_log/00000000000000000099.json#1"],
)
def test_what_a_broken_off_commit_was_writing_goes_too(store: FeatureStore, name: str) -> None:
    left = store.location.path / "catalogue" / name
    left.write_bytes(b"rows of b")
    assert forget(store, [("c", "b")]).young == 1
    past = time.time() - 2 * 86_400
    os.utime(left, (past, past))
    (problem,) = verify(store).problems
    assert (problem.kind, problem.part) == (REMAINS, f"catalogue/{name}")
    assert forget(store, []).removed == 1
    assert not left.exists()
    assert verify(store).clean


def test_a_read_only_store_forgets_nothing(store: FeatureStore) -> None:
    with pytest.raises(ReadOnlyStore):
        forget(FeatureStore.open(store.root, read_only=True), [("c", "b")])


def test_a_remote_store_forgets(s3: Location) -> None:
    store = FeatureStore.create(s3.url, storage_options=s3.storage_options)
    store.upsert_clips("c", clip_table("a", "b"))
    configure(store, NODES["faces"])
    publish_together(store, FACES, ("a", "b"))
    wanted = store.read("a", "faces")
    forget(store, [("c", "b")])
    fresh = FeatureStore.open(s3.url, storage_options=s3.storage_options)
    assert_same(fresh.read("a", "faces"), wanted)
    assert verify(fresh).clean


def test_a_clip_that_is_called_as_its_corpus_is_forgotten_for_good(store: FeatureStore) -> None:
    store.upsert_clips("c", clip_table("c"))
    publish_together(store, FACES, ("c",))
    forget(store, [("c", "c")])
    assert verify(store).problems == []
    store.upsert_clips("c", clip_table("more"))
    assert verify(store).problems == []
    logs = Path(store.root).glob("*/_delta_log/*.json")
    assert not any("clip IN ('c')" in path.read_text() for path in logs)
    assert not any("clip = 'c'" in path.read_text() for path in logs)
