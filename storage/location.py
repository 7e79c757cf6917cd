"""Where a store lies: a local folder or an object store's URL, behind one small surface."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import StoreError
from storage.local import LocalFiles
from storage.remote import RemoteFiles, open_store, remote_files

if TYPE_CHECKING:
    from zarr.storage import StorePath

#: delta-rs fails on these in a local path, and takes %41 for an A
_NO_TABLE = re.compile(r"[\[\]|^\\\x00-\x1f]|%[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Location:
    """A local folder or a URL (``s3://bucket/prefix``; ``memory://name`` within one process).

    Keys are POSIX paths relative to the location. A missing object raises FileNotFoundError, a
    full disk StoreFull, a refusal ReadOnlyStore. Small, hashable and picklable.

    Attributes:
        url: absolute path, or URL without a slash at its end.
        options: the storage options, in order of name; kept out of ``repr`` for their secrets.
    """

    url: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, root: str | Path, storage_options: Mapping[str, str] | None = None) -> Location:
        """The location that a user named; ``storage_options`` as delta-rs and obstore take them.

        ``file://`` URLs and ``~`` are local paths.
        """
        options = tuple(sorted((k, str(v)) for k, v in (storage_options or {}).items()))
        text = str(root)
        if isinstance(root, str) and "://" in text and not text.startswith("file://"):
            return cls(text.rstrip("/"), options)
        return cls(str(Path(text.removeprefix("file://")).expanduser().absolute()), options)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return "://" not in self.url

    @property
    def path(self) -> Path:
        """The folder; StoreError if the location is remote."""
        if not self.is_local:
            raise StoreError(f"{self.url} is no local folder")
        return Path(self.url)

    @property
    def storage_options(self) -> dict[str, str]:
        """The options that it was opened with."""
        return dict(self.options)

    def read_bytes(self, key: str) -> bytes:
        """All of an object."""
        return self._files.read_bytes(self._key(key))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start`` on; EOFError if the object ends before."""
        return self.read_ranges(key, [(start, length)])[0]

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several (start, length) ranges; near ones share one request. EOFError if too short."""
        return self._files.read_ranges(self._key(key), ranges)

    def write_bytes(self, key: str, data: bytes, if_absent: bool = False) -> None:
        """Write an object at once; FileExistsError with ``if_absent`` if it is there."""
        self._files.write_bytes(self._key(key), data, if_absent=if_absent)

    def put_tree(self, local_dir: Path, key: str) -> None:
        """Publish a staged folder: durable, then visible in one step.

        Locally the folder is moved by one rename; remotely it is uploaded, the root's
        ``zarr.json`` last, and left where it was.
        """
        self._files.put_tree(local_dir, self._key(key))

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key, or any below it."""
        return self._files.exists(self._key(key))

    def list(self, prefix: str = "") -> Iterator[tuple[str, int, float]]:
        """(key, bytes, seconds since 1970 of the last change) of all objects below a folder."""
        cut = len(self._key(""))
        for key, size, changed in self._files.list(self._key(prefix)):
            yield key[cut:], size, changed

    def delete_tree(self, key: str) -> None:
        """Remove an object, or a folder with all in it; nothing happens if it isn't there."""
        self._files.delete_tree(self._key(key))

    def zarr_store(self, key: str = "", read_only: bool = True) -> StorePath:
        """What ``zarr.open_group`` takes."""
        from zarr.storage import LocalStore, ObjectStore, StorePath

        if self.is_local:
            return StorePath(LocalStore(self.path / key, read_only=read_only))
        if self.url.startswith("memory://"):
            store = ObjectStore(self._remote.store, read_only=read_only)
            return StorePath(store, self._key(key).rstrip("/"))
        url = f"{self.url}/{key}".rstrip("/")
        return StorePath(ObjectStore(open_store(url, dict(self.options)), read_only=read_only))

    def delta_uri(self, key: str) -> str:
        """What ``deltalake.DeltaTable`` takes.

        Raises:
            StoreError: the folder's name holds what delta-rs can't take.
        """
        odd = _NO_TABLE.search(self.url) if self.is_local else None
        if odd is not None:
            raise StoreError(
                f"{self.url}: a store can't lie in a folder with {odd.group()!r} in its name, "
                "which Delta tables don't take; rename it, or choose another one"
            )
        return f"{self.url}/{key}"

    @property
    def _files(self) -> LocalFiles | RemoteFiles:
        return LocalFiles(Path(self.url)) if self.is_local else self._remote

    @property
    def _remote(self) -> RemoteFiles:
        return remote_files(self._memory[0] if self._memory else self.url, self.options)

    @property
    def _memory(self) -> tuple[str, str] | None:
        # a memory store has no prefix of its own: what follows its name goes into the keys
        if not self.url.startswith("memory://"):
            return None
        name, _, prefix = self.url.removeprefix("memory://").partition("/")
        return f"memory://{name}", f"{prefix}/" if prefix else ""

    def _key(self, key: str) -> str:
        return (self._memory[1] if self._memory else "") + key
