"""A local folder and an object store behave alike, and refuse in words."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import boto3
import pytest
import zarr
from moto.server import ThreadedMotoServer
from obstore.exceptions import GenericError

from storage.errors import ReadOnlyStore, StoreError, StoreFull
from storage.local import writing
from storage.location import Location
from storage.remote import remote_files


def test_what_is_written_is_read_back(location: Location) -> None:
    location.write_bytes("a/b.bin", b"0123456789")
    assert location.read_bytes("a/b.bin") == b"0123456789"
    assert location.read_range("a/b.bin", 3, 4) == b"3456"
    assert location.read_ranges("a/b.bin", [(8, 2), (0, 1), (4, 0)]) == [b"89", b"0", b""]


def test_a_missing_object_raises_file_not_found(location: Location) -> None:
    with pytest.raises(FileNotFoundError):
        location.read_bytes("nothing")
    with pytest.raises(FileNotFoundError):
        location.read_range("nothing", 0, 1)


@pytest.mark.parametrize("start", [8, 20])
def test_a_range_beyond_the_end_raises_eof(location: Location, start: int) -> None:
    location.write_bytes("short", b"0123456789")
    with pytest.raises(EOFError):
        location.read_range("short", start, 5)


def test_writing_only_if_absent_never_replaces(location: Location) -> None:
    location.write_bytes("key", b"first", if_absent=True)
    with pytest.raises(FileExistsError):
        location.write_bytes("key", b"second", if_absent=True)
    assert location.read_bytes("key") == b"first"
    location.write_bytes("key", b"third")
    assert location.read_bytes("key") == b"third"


def test_exists_knows_objects_and_folders(location: Location) -> None:
    location.write_bytes("a/b/c", b"x")
    assert location.exists("a/b/c")
    assert location.exists("a/b")
    assert not location.exists("a/bb")
    assert not location.exists("z")


def test_list_gives_keys_relative_to_the_location(location: Location) -> None:
    location.write_bytes("a/one", b"1")
    location.write_bytes("a/deep/two", b"22")
    location.write_bytes("ab/three", b"333")
    found = {key: size for key, size, _ in location.list("a")}
    assert found == {"a/one": 1, "a/deep/two": 2}
    assert {key for key, _, _ in location.list()} == {"a/one", "a/deep/two", "ab/three"}
    assert all(changed > 1.6e9 for _, _, changed in location.list())
    assert list(location.list("nothing")) == []


def test_delete_tree_removes_folders_and_objects_and_nothing_else(location: Location) -> None:
    for key in ("a/zarr.json", "a/b/zarr.json", "a/b/c/0", "ab/keep", "single"):
        location.write_bytes(key, b"x")
    location.delete_tree("a")
    location.delete_tree("single")
    location.delete_tree("never there")
    assert {key for key, _, _ in location.list()} == {"ab/keep"}


def test_put_tree_publishes_a_whole_folder(location: Location, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    (staged / "values" / "c").mkdir(parents=True)
    (staged / "zarr.json").write_bytes(b"{}")
    (staged / "values" / "c" / "0").write_bytes(b"data")
    location.put_tree(staged, "parts/x.zarr")
    found = {key for key, _, _ in location.list("parts")}
    assert found == {"parts/x.zarr/zarr.json", "parts/x.zarr/values/c/0"}


def test_an_upload_ends_with_the_groups_metadata(
    s3_options: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # a server in this process, whose log tells the order of requests
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    here = {**s3_options, "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port())}
    boto3.client(
        "s3",
        endpoint_url=here["AWS_ENDPOINT_URL"],
        region_name=here["AWS_REGION"],
        aws_access_key_id=here["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=here["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket="order")
    s3 = Location.parse("s3://order/root", here)
    staged = tmp_path / "staged"
    for name in ("zarr.json", "values/zarr.json", "values/c/0/0", "zz/zarr.json", "zz/c/0"):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_bytes(b"x")
    with caplog.at_level("INFO", logger="werkzeug"):
        s3.put_tree(staged, "part.zarr")
    server.stop()
    puts = [m.split("part.zarr/")[1].split()[0] for m in caplog.messages if "PUT /order/" in m]
    assert set(puts[:2]) == {"values/c/0/0", "zz/c/0"}
    assert set(puts[2:4]) == {"values/zarr.json", "zz/zarr.json"}
    assert puts[4:] == ["zarr.json"]


def test_put_tree_from_another_file_system_still_appears_at_once(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    staged = other / f"affectstore-test-{os.getpid()}"
    staged.mkdir()
    (staged / "zarr.json").write_bytes(b"{}")
    root = Location.parse(tmp_path)
    root.put_tree(staged, "parts/x.zarr")
    assert [key for key, _, _ in root.list()] == ["parts/x.zarr/zarr.json"]
    assert not staged.exists()


def test_a_full_disk_says_so_and_what_to_do() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def fill_up() -> None:
        with writing(full), full.open("wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(StoreFull, match=r"no space left at /dev/full: free some"):
        fill_up()


def test_a_folder_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # root may write anywhere but to the kernel's own files
        with pytest.raises(ReadOnlyStore, match="can't be written to"):
            Location.parse("/sys/kernel").write_bytes("affectstore-test", b"x")
        return
    tmp_path.chmod(0o500)
    with pytest.raises(ReadOnlyStore, match="can't be written to"):
        Location.parse(tmp_path).write_bytes("key", b"x")


def test_what_lies_in_a_folder_that_may_not_be_listed_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = Location.parse(tmp_path)
    location.write_bytes("parts/a/x", b"1")
    location.write_bytes("parts/b/x", b"2")
    scandir = os.scandir

    def refusing(folder: str) -> Any:
        if Path(folder).name == "b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="parts/b"):
        list(location.list("parts"))
    assert [key for key, _, _ in location.list("parts/a")] == ["parts/a/x"]
    assert not list(location.list("parts/a/x"))
    assert not list(location.list("elsewhere"))


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), writing(tmp_path):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))


def test_a_location_survives_pickling_and_hides_its_secrets(s3: Location) -> None:
    s3.write_bytes("key", b"x")
    copy = pickle.loads(pickle.dumps(s3))
    assert copy == s3
    assert hash(copy) == hash(s3)
    assert copy.read_bytes("key") == b"x"
    assert "not-a-secret" not in repr(s3)


def test_a_missing_bucket_is_told_in_one_line(s3_options: dict[str, str]) -> None:
    nowhere = Location.parse("s3://no-such-bucket/x", s3_options)
    with pytest.raises((StoreError, FileNotFoundError)) as caught:
        nowhere.write_bytes("key", b"x")
    assert "no-such-bucket" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_answer_that_nobody_foresaw_is_told_with_what_to_check(s3: Location) -> None:
    files = remote_files(s3.url, tuple(s3.options))
    with pytest.raises(StoreError, match=r"AWS_… variables.*; k: no route"), files._speaking("k"):
        raise GenericError("no route\nand more")


def test_only_a_local_location_has_a_path(tmp_path: Path) -> None:
    assert Location.parse(f"file://{tmp_path}").path == tmp_path
    remote = Location.parse("s3://bucket/prefix/")
    assert not remote.is_local
    assert remote.delta_uri("catalogue") == "s3://bucket/prefix/catalogue"
    with pytest.raises(StoreError, match="no local folder"):
        _ = remote.path


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Location.parse("store").path == tmp_path / "store"


def test_zarr_opens_what_zarr_store_gives(location: Location) -> None:
    group = zarr.open_group(location.zarr_store("g.zarr", read_only=False), mode="w")
    group.create_array("x", shape=(3,), dtype="int32")[:] = 7
    again = zarr.open_group(location.zarr_store("g.zarr"), mode="r")
    assert again["x"][:].tolist() == [7, 7, 7]
    assert location.exists("g.zarr/zarr.json")
