"""The file of a clip as it was ingested, and whether it still is that file while it is read."""

from __future__ import annotations

import os

from features.errors import MediaReplaced
from features.media.guard import check_file
from features.media.probe import sha256_file


class Original:
    """One file: results are published under the hash that it had when it was ingested.

    Args:
        path: local path of the file.
        sha256: hash of its content.
        size, mtime_ns: of the file with that content; 0 where they aren't known.
    """

    def __init__(self, path: str, sha256: str, size: int, mtime_ns: int) -> None:
        self._path, self._sha256 = path, sha256
        self._size, self._mtime_ns = size, mtime_ns

    def check(self) -> None:
        """Look whether the file is still the one that was ingested; it is hashed only in doubt.

        Raises:
            MediaMissing: it is gone.
            MediaReplaced: its content is another one now.
        """
        try:
            status = os.stat(self._path)
        except OSError:
            status = check_file(self._path)
        if (status.st_size, status.st_mtime_ns) == (self._size, self._mtime_ns):
            return
        if self._size not in (0, status.st_size) or sha256_file(self._path) != self._sha256:
            raise MediaReplaced(
                f"{self._path} has changed since it was ingested; run affectstore ingest again"
            )
        self._size, self._mtime_ns = status.st_size, status.st_mtime_ns
