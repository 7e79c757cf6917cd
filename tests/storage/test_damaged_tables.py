"""Tables whose files or logs were damaged: one line that names the file, and verify tells of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from flows.request import Request
from flows.run import plan_request
from storage import FeatureStore
from storage.errors import StoreError
from storage.forget import forget
from storage.gc import gc
from storage.usage import usage
from storage.verify import DAMAGED, MISSING, verify
from tests.storage.upkeep_kit import filled_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled_store(tmp_path_factory.mktemp("made") / "store").location.path


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


def commit(root: Path, table: str, holding: bytes) -> Path:
    """The newest commit of a table with these bytes in it."""
    logs = sorted((root / table / "_delta_log").glob("*.json"))
    return next(path for path in reversed(logs) if holding in path.read_bytes())


def put(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (rb"\"clip\":\"a\"", rb"\"clip\":\"c\"", "range of clip"),
        (rb"\"numRecords\":3", rb"\"numRecords\":2", "2 rows, it has 3"),
        (b'"size":', b'"size":1', "bytes, it has"),
    ],
)
def test_verify_compares_what_the_log_says_with_its_files(
    root: Path, old: bytes, new: bytes, said: str
) -> None:
    path = commit(root, "catalogue", old)
    put(path, old, new)
    (problem,) = verify(FeatureStore.open(root, read_only=True)).problems
    assert (problem.kind, problem.part) == (DAMAGED, f"catalogue/_delta_log/{path.name}")
    assert said in problem.message


@pytest.mark.parametrize("new", [b'{"a\xff', b'{"ad'])
@pytest.mark.parametrize("work", [verify, gc, usage, lambda store: store.log()])
def test_a_damaged_commit_is_named(root: Path, new: bytes, work: Callable[..., object]) -> None:
    path = commit(root, "catalogue", b'{"add"')
    store = FeatureStore.open(root)
    put(path, b'{"add"', new)
    with pytest.raises(StoreError, match=re.escape(path.name)) as told:
        work(store)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "work", [verify, gc, usage, FeatureStore.published, lambda s: s.read("a", "faces")]
)
def test_a_commit_that_lost_its_bytes_is_no_commit_without_rows(
    root: Path, work: Callable[..., object]
) -> None:
    path = commit(root, "catalogue", b'{"add"')
    path.write_bytes(b"")
    with pytest.raises(StoreError, match=rf"{path.name} is empty.* restore it") as told:
        work(FeatureStore.open(root))
    assert "\n" not in str(told.value)


def test_without_its_newest_commit_that_lost_its_bytes_a_store_is_as_before(root: Path) -> None:
    before = len(FeatureStore.open(root).published())
    path = commit(root, "catalogue", b'{"add"')
    path.write_bytes(b"")
    path.unlink()
    store = FeatureStore.open(root)
    assert 0 < len(store.published()) < before
    checked = verify(store)
    assert checked.clean
    assert checked.orphans


@pytest.mark.parametrize("name", ["{} (conflicted copy).json", "._{}.json", "{}.json.bak"])
def test_what_other_programs_leave_in_a_log_is_no_commit(root: Path, name: str) -> None:
    path = commit(root, "catalogue", b'{"add"')
    path.with_name(name.format(path.stem)).write_bytes(path.read_bytes())
    store = FeatureStore.open(root)
    assert verify(store).clean
    assert not gc(store).parts
    assert len(store.log())


@pytest.mark.parametrize("table", ["clips", "configurations", "catalogue"])
def test_newest_commits_that_are_gone_are_told_by_those_who_saw_them(
    root: Path, table: str
) -> None:
    FeatureStore.open(root).tag("kept")
    last = max((root / table / "_delta_log").glob("*.json"))
    last.unlink()
    problems = verify(FeatureStore.open(root)).problems
    assert (MISSING, f"{table}/_delta_log/{last.name}") in [(p.kind, p.part) for p in problems]


def test_a_log_without_its_first_commits_names_what_it_lacks(root: Path) -> None:
    (root / "catalogue" / "_delta_log" / f"{0:020d}.json").unlink()
    with pytest.raises(StoreError, match="the log lacks version 0"):
        verify(FeatureStore.open(root))


def test_a_folder_in_the_place_of_a_tables_file_is_a_missing_file(root: Path) -> None:
    path = next((root / "runs").glob("*.parquet"), None) or next((root / "clips").glob("*.parquet"))
    path.unlink()
    path.mkdir()
    (problem,) = verify(FeatureStore.open(root)).problems
    assert (problem.kind, problem.part) == (MISSING, f"{path.parent.name}/{path.name}")


@pytest.mark.parametrize("table", ["catalogue", "clips", "configurations"])
def test_a_damaged_file_of_a_table_is_named(root: Path, table: str) -> None:
    for path in (root / table).glob("*.parquet"):
        path.write_bytes(b"PAR1" + bytes(200))
    for work in (lambda s: s.read("a", "faces"), lambda s: s.select(["faces"])):
        with pytest.raises(StoreError, match=rf"{table}/.*\.parquet can't be read") as told:
            work(FeatureStore.open(root, read_only=True))
        assert "\n" not in str(told.value)


def test_a_plan_over_a_damaged_catalogue_says_so_in_a_line(root: Path) -> None:
    for path in (root / "catalogue").glob("*.parquet"):
        path.write_bytes(b"PAR1" + bytes(200))
    with pytest.raises(StoreError, match=r"catalogue can't be read .*\.parquet.* verify") as told:
        plan_request(FeatureStore.open(root), Request(str(root), "faces"))
    assert "\n" not in str(told.value)


def checkpointed(root: Path) -> Path:
    """The catalogue's checkpoint, which is made for the purpose."""
    DeltaTable(str(root / "catalogue")).create_checkpoint()
    (path,) = (root / "catalogue" / "_delta_log").glob("*.checkpoint.parquet")
    return path


def test_hidden_files_beside_checkpoints_and_tables_are_nothing(root: Path) -> None:
    for path in (checkpointed(root), *(root / "clips").glob("*.parquet")):
        path.with_name("._" + path.name).write_bytes(b"\0\5\x16\7")
    store = FeatureStore.open(root)
    assert verify(store).clean
    forget(store, [("c", "b")])
    assert verify(store).clean


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Put a checkpoint in place that differs in this, and can be read as before."""
    rows = pq.read_table(path)
    entries = rows.to_pylist()
    change(entries)
    pq.write_table(pa.Table.from_pylist(entries, schema=rows.schema), path)


def narrow(entries: list[dict[str, Any]]) -> None:
    add = next(e["add"] for e in entries if e["add"])
    add["stats"] = add["stats"].replace('"clip":"a"', '"clip":"c"', 1)


def lose(entries: list[dict[str, Any]]) -> None:
    entries.remove(next(e for e in entries if e["add"]))


def rename(entries: list[dict[str, Any]]) -> None:
    held = next(e["metaData"] for e in entries if e["metaData"])
    held["schemaString"] = held["schemaString"].replace("content", "contenu")


def test_a_sound_checkpoint_is_no_problem(root: Path) -> None:
    path = checkpointed(root)
    rewrite(path, lambda entries: None)
    assert verify(FeatureStore.open(root, read_only=True)).clean


@pytest.mark.parametrize("harm", [narrow, lose, rename])
def test_a_checkpoint_that_differs_from_the_log_is_found(
    root: Path, harm: Callable[[list[dict[str, Any]]], None]
) -> None:
    path = checkpointed(root)
    rewrite(path, harm)
    (problem,) = verify(FeatureStore.open(root, read_only=True)).problems
    assert (problem.kind, problem.part) == (DAMAGED, f"catalogue/_delta_log/{path.name}")
    # the remedy that it names
    for name in (path.name, "_last_checkpoint"):
        assert name.removeprefix(path.stem.split(".")[0]) in problem.message
        (path.parent / name).unlink()
    store = FeatureStore.open(root)
    assert verify(store).clean
    assert len(store.published()) == len(FeatureStore.open(root).catalogue())


def test_a_pointer_to_no_checkpoint_is_found(root: Path) -> None:
    path = checkpointed(root)
    path.unlink()
    (root / "configurations" / "_delta_log" / "_last_checkpoint").write_bytes(b'{"vers')
    told = {p.part for p in verify(FeatureStore.open(root, read_only=True)).problems}
    assert told == {f"{t}/_delta_log/_last_checkpoint" for t in ("catalogue", "configurations")}
