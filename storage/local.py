"""The store's files in a local folder: atomic writes, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from storage.errors import ReadOnlyStore, StoreFull

#: names that readers never look at: writes under way, and folders on their way out
STAGING_PREFIX = ".staging-"
TRASH_PREFIX = ".trash-"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn the system's refusals to write into StoreFull and ReadOnlyStore."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(
                f"no space left at {where}: free some or move the store, then run again; "
                "what was published stays whole"
            ) from error
        if error.errno in _FORBIDDEN:
            raise ReadOnlyStore(
                f"{where} can't be written to ({os.strerror(error.errno)}): "
                "check its owner, its permissions and how it is mounted"
            ) from error
        raise


def check_writable(folder: Path, needed: int) -> None:
    """Raises ReadOnlyStore or StoreFull if a file of so many bytes has no place in the folder.

    For writers that tell it worse than the system does: delta-rs ends a thread of its own on it.
    """
    with writing(folder):
        if not os.access(folder, os.W_OK):
            code = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(code, os.strerror(code))
        space = os.statvfs(folder)
        # some network file systems don't say how large they are
        if space.f_blocks and space.f_bavail * space.f_frsize < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(path: Path) -> None:
    """Make a folder's files and names durable."""
    for folder, _, files in os.walk(path):
        for name in files:
            handle = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        fsync_folder(Path(folder))


class LocalFiles:
    """Objects as files under ``root``; keys are relative POSIX paths."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read_bytes(self, key: str) -> bytes:
        try:
            return (self.root / key).read_bytes()
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(f"{self.root / key} is no file") from error

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        handle = os.open(self.root / key, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return [_pread(handle, start, length, key) for start, length in ranges]
        finally:
            os.close(handle)

    def write_bytes(self, key: str, data: bytes, *, if_absent: bool) -> None:
        target = self.root / key
        draft = target.parent / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if if_absent:
                    os.link(draft, target)
                else:
                    os.replace(draft, target)
            finally:
                draft.unlink(missing_ok=True)
            fsync_folder(target.parent)

    def put_tree(self, local_dir: Path, key: str) -> None:
        target = self.root / key
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = self._beside(local_dir, target)
            fsync_tree(staged)
            os.rename(staged, target)
            fsync_folder(target.parent)

    @staticmethod
    def _beside(local_dir: Path, target: Path) -> Path:
        # a rename is atomic only within one file system
        if local_dir.stat().st_dev == target.parent.stat().st_dev:
            return local_dir
        copy = target.parent / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
        try:
            shutil.copytree(local_dir, copy)
        except shutil.Error as error:
            shutil.rmtree(copy, ignore_errors=True)
            raise OSError(errno.ENOSPC, f"copying to {target} failed: {error}") from error
        except OSError:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        shutil.rmtree(local_dir)
        return copy

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

    def list(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        for folder, folders, files in os.walk(self.root / prefix, onerror=_unlisted):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                try:
                    state = path.stat()
                except FileNotFoundError:  # another process removed it meanwhile
                    continue
                yield path.relative_to(self.root).as_posix(), state.st_size, state.st_mtime

    def delete_tree(self, key: str) -> None:
        target = self.root / key
        with writing(target):
            if not target.is_dir():
                target.unlink(missing_ok=True)
                return
            # renamed first: whoever looks meanwhile finds all of it or nothing
            trash = target.parent / f"{TRASH_PREFIX}{secrets.token_hex(8)}"
            os.rename(target, trash)
            shutil.rmtree(trash)


def _unlisted(error: OSError) -> None:
    """Of a folder that can't be listed: what lies there isn't missing, unless the folder is."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _pread(handle: int, start: int, length: int, key: str) -> bytes:
    pieces: list[bytes] = []
    while length > 0:
        data = os.pread(handle, length, start)
        if not data:
            raise EOFError(f"{key} ends {length} bytes too early")
        pieces.append(data)
        start, length = start + len(data), length - len(data)
    return b"".join(pieces)
