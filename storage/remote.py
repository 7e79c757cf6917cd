"""The store's files in an object store, through obstore."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import MemoryStore, from_url

from storage.errors import ReadOnlyStore, StoreError, StoreUnreachable, first_line, one_line

if TYPE_CHECKING:
    from obstore.store import ObjectStore

#: options of the HTTP client; the same mapping goes to delta-rs, which takes all in one
_CLIENT_OPTIONS = {
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_content_type",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_url",
    "proxy_ca_certificate",
    "proxy_excludes",
    "timeout",
    "user_agent",
}
#: options that only delta-rs knows
_DELTA_OPTIONS = {
    "aws_s3_allow_unsafe_rename",
    "allow_unsafe_rename",
    "aws_s3_locking_provider",
    "delta_dynamo_table_name",
    "max_retries",
    "retry_timeout",
}
_METADATA = "zarr.json"
#: how object stores say that a range begins after an object's end
_TOO_SHORT = ("invalid range", "range not satisfiable", "rangenotsatisfiable")
#: how they, and the libraries that speak to them, say other things
_GENERIC = re.compile(r"Generic (?!LocalFileSystem)\w+ error")
_REFUSED = ("lacked the necessary privileges", "lacked valid authentication")
_NO_BUCKET = "NoSuchBucket"
#: characters of such an answer that are told
LONGEST_CAUSE = 300
_memory: dict[str, MemoryStore] = {}
_memory_lock = threading.Lock()


def split_options(
    options: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str]]:
    """One mapping of storage options -> (the store's, the HTTP client's)."""
    store: dict[str, str] = {}
    client: dict[str, str] = {}
    for name, value in options.items():
        key = name.lower()
        bare = key.removeprefix("aws_")
        if bare in _CLIENT_OPTIONS:
            client[bare] = value
        elif key not in _DELTA_OPTIONS:
            store[key] = value
    return store, client


def open_store(url: str, options: Mapping[str, str]) -> ObjectStore:
    """The object store whose root is ``url``; ``memory://name`` lives as long as the process."""
    if url.startswith("memory://"):
        with _memory_lock:
            return _memory.setdefault(url.removeprefix("memory://"), MemoryStore())
    store, client = split_options(options)
    try:
        return from_url(url, config=store or None, client_options=client or None)  # type: ignore[arg-type]
    except BaseError as error:
        raise StoreError(f"{url} can't be opened: {first_line(error)}") from error


@lru_cache(maxsize=64)
def remote_files(url: str, options: tuple[tuple[str, str], ...]) -> RemoteFiles:
    """This process's one connection to the store at ``url``."""
    return RemoteFiles(url, open_store(url, dict(options)))


class RemoteFiles:
    """Objects under a URL; keys are relative to it."""

    def __init__(self, url: str, store: ObjectStore) -> None:
        self._url = url
        self.store = store

    def read_bytes(self, key: str) -> bytes:
        with self._speaking(key):
            return bytes(obstore.get(self.store, key).bytes())

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        wanted = [(start, length) for start, length in ranges if length]
        if not wanted:
            return [b"" for _ in ranges]
        with self._speaking(key):
            found = iter(
                obstore.get_ranges(
                    self.store,
                    key,
                    starts=[start for start, _ in wanted],
                    lengths=[length for _, length in wanted],
                )
            )
        out = [bytes(next(found)) if length else b"" for _, length in ranges]
        for data, (_, length) in zip(out, ranges, strict=True):
            if len(data) != length:
                raise EOFError(f"{key} ends {length - len(data)} bytes too early")
        return out

    def write_bytes(self, key: str, data: bytes, *, if_absent: bool) -> None:
        with self._speaking(key):
            if if_absent:
                # multipart uploads can't be conditional
                obstore.put(self.store, key, data, mode="create", use_multipart=False)
            else:
                obstore.put(self.store, key, data)

    def put_tree(self, local_dir: Path, key: str) -> None:
        files = [path for path in local_dir.rglob("*") if path.is_file()]
        # the root's metadata goes last: before it, no reader takes the folder for a group
        files.sort(key=lambda p: (p.name == _METADATA, -len(p.parts), p.as_posix()))
        for path in files:
            target = f"{key}/{path.relative_to(local_dir).as_posix()}"
            with self._speaking(target):
                obstore.put(self.store, target, path)

    def exists(self, key: str) -> bool:
        try:
            with self._speaking(key):
                obstore.head(self.store, key)
        except FileNotFoundError:
            return next(self.list(key), None) is not None
        return True

    def list(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        with self._speaking(prefix):
            for batch in obstore.list(self.store, prefix=prefix.rstrip("/") or None):
                for entry in batch:
                    yield entry["path"], entry["size"], entry["last_modified"].timestamp()

    def delete_tree(self, key: str) -> None:
        root = f"{key}/{_METADATA}"
        found = [path for path, _, _ in self.list(key)] or [key]
        with self._speaking(key), suppress(FileNotFoundError, NotFoundError):
            if root in found:
                # first the metadata: what is left of a broken-off removal is no group
                obstore.delete(self.store, root)
                found.remove(root)
            obstore.delete(self.store, found)

    @contextmanager
    def _speaking(self, key: str) -> Iterator[None]:
        """Turn the object store's answers into Python's and the store's own errors."""
        try:
            yield
        except (FileNotFoundError, NotFoundError) as error:
            if _NO_BUCKET in str(error):
                raise answered(self._url, key, error) from error
            raise FileNotFoundError(f"{self._url}/{key} isn't there") from error
        except AlreadyExistsError as error:
            raise FileExistsError(f"{self._url}/{key} is there already") from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError, BaseError) as error:
            if any(words in str(error).lower() for words in _TOO_SHORT):
                raise EOFError(f"{self._url}/{key} is too short") from error
            raise answered(self._url, key, error) from error


def of_object_store(url: str, error: BaseException) -> bool:
    """Whether an error of delta-rs or Arrow is what an object store answered, or failed to."""
    said = str(error)
    refused = any(words in said for words in (*_REFUSED, _NO_BUCKET))
    return "://" in url and (refused or _GENERIC.search(said) is not None)


def answered(url: str, key: str, error: BaseException) -> StoreError:
    """The error to raise for what an object store answered when it was asked for ``key``."""
    said = str(error)
    if _NO_BUCKET in said:
        return StoreError(f"{url}: there is no such bucket; check its name, or create it first")
    denied = PermissionDeniedError, UnauthenticatedError, PermissionError
    if isinstance(error, denied) or any(words in said for words in _REFUSED):
        return ReadOnlyStore(
            f"{url} refuses access to {key}: check the credentials and the bucket's policy"
        )
    why = one_line(error).partition("Debug source:")[0].strip()
    return StoreUnreachable(
        f"{url} can't be reached: check the URL and the AWS_… variables (docs/running.md), or try "
        f"again; {key}: {why if len(why) <= LONGEST_CAUSE else why[:LONGEST_CAUSE] + '…'}"
    )
