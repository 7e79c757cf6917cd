"""Making, opening and sharing a store."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from store_kit import FACES, clip_table, make_rows, new_store, node, staged

from storage import (
    Conflict,
    FeatureStore,
    NotAStore,
    Published,
    ReadOnlyStore,
    Run,
    StoreExists,
    WrongFormat,
)
from storage.schemas import SCHEMAS

PROCESSES, COMMITS = 4, 25


def test_a_new_store_says_its_format_and_has_all_tables(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s")
    assert json.loads((tmp_path / "s/store.json").read_text())["format"] == 1
    for name in SCHEMAS:
        table = DeltaTable(str(tmp_path / "s" / name))
        assert table.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


def test_a_store_is_not_made_twice_unless_that_is_fine(tmp_path: Path) -> None:
    new_store(tmp_path / "s")
    with pytest.raises(StoreExists, match="is a store already"):
        FeatureStore.create(tmp_path / "s")
    again = FeatureStore.create(tmp_path / "s", exist_ok=True)
    assert again.clips()["clip"].to_pylist() == ["a", "b"]


def test_a_store_is_not_made_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreExists, match=r"thesis\.tex"):
        FeatureStore.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_creation_that_was_killed_half_way_is_finished_by_the_next(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s")
    (tmp_path / "s/store.json").unlink()
    with pytest.raises(NotAStore):
        FeatureStore.open(tmp_path / "s")
    # what a kill in the middle of writing store.json leaves
    (tmp_path / "s/.staging-0123456789abcdef").write_text("{")
    assert FeatureStore.create(tmp_path / "s").corpora() == []


def test_of_many_that_create_at_once_one_wins_and_the_others_open(tmp_path: Path) -> None:
    def create(exist_ok: bool) -> str:
        try:
            FeatureStore.create(tmp_path / "s", exist_ok=exist_ok).versions  # noqa: B018
        except StoreExists:
            return "exists"
        return "open"

    with ThreadPoolExecutor(6) as threads:
        strict = list(threads.map(create, [False] * 6))
        lenient = list(threads.map(create, [True] * 6))
    assert sorted(strict) == ["exists"] * 5 + ["open"]
    assert lenient == ["open"] * 6


def test_opening_a_folder_that_is_no_store_names_it_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotAStore) as caught:
        FeatureStore.open(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert "affectstore ingest" in str(caught.value)


def test_a_damaged_store_file_is_told_apart_from_none(tmp_path: Path) -> None:
    new_store(tmp_path / "s")
    (tmp_path / "s/store.json").write_text("{")
    with pytest.raises(NotAStore, match="damaged"):
        FeatureStore.open(tmp_path / "s")


@pytest.mark.parametrize("version", [0, 2])
def test_another_format_is_refused_with_both_versions(tmp_path: Path, version: int) -> None:
    new_store(tmp_path / "s")
    (tmp_path / "s/store.json").write_text(json.dumps({"format": version}))
    with pytest.raises(WrongFormat, match=f"format {version}, .* format 1"):
        FeatureStore.open(tmp_path / "s")


def test_a_read_only_store_refuses_every_write(tmp_path: Path) -> None:
    new_store(tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s", read_only=True)
    before = store.versions
    for write in (
        lambda: store.upsert_clips("c", clip_table("x")),
        lambda: store.writer(FACES),
        lambda: store.commit([]),
        lambda: store.publish("a", FACES, make_rows(FACES, 2)),
    ):
        with pytest.raises(ReadOnlyStore, match="reading only"):
            write()
    assert store.versions == before


def test_a_pickled_store_opens_itself_again_as_it_was(tmp_path: Path) -> None:
    new_store(tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s", read_only=True, at=0)
    again = pickle.loads(pickle.dumps(store))
    assert repr(again) == repr(store)
    assert again.read_only
    assert again.versions == store.versions


def test_a_run_is_recorded_with_what_it_was_asked(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    result = staged(store, "a", FACES, node(FACES), make_rows(FACES, 1))
    run = Run("r1", result.time, None, "complete", ("faces",), "id", 3, 0, "fine")
    store.record_run(run)
    assert store.runs().to_pylist()[0]["features"] == ["faces"]
    assert store.runs()["run"].to_pylist() == ["r1"]


def test_a_store_at_a_version_shows_what_was_published_then(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    first, second = make_rows(FACES, 3, seed=1), make_rows(FACES, 3, seed=2)
    store.publish("a", FACES, first)
    then = store.versions["catalogue"]
    moment = store.snapshot["catalogue"].commits.time(then)
    store.publish("a", FACES, second)
    store.upsert_clips("c", clip_table("later"))
    for at in (then, moment):
        old = FeatureStore.open(tmp_path / "s", at=at)
        assert (old.read("a", "faces").values == first.values).all()
        assert "later" not in old.clips()["clip"].to_pylist()
    assert (store.read("a", "faces").values == second.values).all()


def test_other_programs_read_the_catalogue(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    store.publish("a", FACES, make_rows(FACES, 7))
    files = DeltaTable(str(tmp_path / "s/catalogue")).file_uris()
    found = duckdb.sql(f"SELECT clip, feature, rows, pieces[1].row_stop FROM read_parquet({files})")
    assert found.fetchall() == [("a", "faces", 7, 7)]


def _commit_many(root: Path, template: Published, number: int) -> None:
    store = FeatureStore.open(root)
    for i in range(COMMITS):
        key = f"{number}-{i}"
        store.commit([Published(**vars(template) | {"fingerprint": key})])


def _upsert_many(root: Path, number: int) -> None:
    store = FeatureStore.open(root)
    for i in range(4):
        table = clip_table(f"{number}-{i}", **{f"label.l{number}": [i]})
        store.upsert_clips(f"corpus{number % 2}", table)


def _in_processes(work: object, arguments: list[tuple[object, ...]]) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=work, args=a) for a in arguments]  # type: ignore[arg-type]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_four_processes_commit_at_once_and_lose_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    result = staged(store, "a", FACES, node(FACES), make_rows(FACES, 1))
    arguments = [(tmp_path / "s", result, number) for number in range(PROCESSES)]
    _in_processes(_commit_many, arguments)
    keys = store.catalogue(columns=["fingerprint"])["fingerprint"].to_pylist()
    wanted = {f"{number}-{i}" for number in range(PROCESSES) for i in range(COMMITS)}
    assert len(keys) == len(wanted)
    assert set(keys) == wanted


def test_four_processes_upsert_clips_at_once_and_lose_nothing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s")
    _in_processes(_upsert_many, [(tmp_path / "s", number) for number in range(4)])
    clips = store.clips().to_pylist()
    assert {c["clip"] for c in clips} == {f"{n}-{i}" for n in range(4) for i in range(4)}
    for clip in clips:
        number, i = clip["clip"].split("-")
        assert clip[f"label.l{number}"] == int(i)


def test_a_replacement_of_what_has_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    table = store.snapshot["clips"]
    version, rows = table.version, table.read({"corpus": "c"})
    FeatureStore.open(tmp_path / "s").upsert_clips("other", clip_table("x"))
    with pytest.raises(Conflict):
        table.replace(rows, {"corpus": "c"}, version)
    assert store.corpora() == ["c", "other"]
