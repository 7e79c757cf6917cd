"""The commits of one Delta table, as its log tells them: when, by what, and what they say."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from storage.errors import StoreError, UnknownVersion, first_line
from storage.location import Location

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: before the names of what a commit says of itself in Delta's log
NOTE = "affectstore."
#: name of the note in which a commit of the catalogue tells which versions of all tables it saw
VERSIONS = "versions"
LOG_FILE = re.compile(r"\d{20}\.json")
#: log files read at a time: a remote store answers each in some ten milliseconds
LOG_THREADS = 16


def damaged_log(location: Location, key: str, error: Exception) -> StoreError:
    """The error to raise where a commit isn't what Delta writes."""
    return StoreError(
        f"{location.url}/{key} is damaged ({first_line(error)}): restore it from a copy"
    )


def emptied_log(location: Location, key: str) -> StoreError:
    """The error to raise where a commit holds nothing: Delta itself takes it for no change."""
    return StoreError(
        f"{location.url}/{key} is empty, as a power cut may leave a file, so that what it brought "
        "is lost: restore it from a copy, or, if the table has no newer commit, delete it: the "
        "table is then as before, and the same command adds what is lacking"
    )


def refuse_emptied(location: Location, table: str, last: int) -> None:
    """Look whether a commit up to version ``last`` lost what it held.

    Only of a local store: an object is never there without its bytes.

    Raises:
        StoreError: one did; a read would give the table without what it brought.
    """
    if not location.is_local:
        return
    with os.scandir(location.path / table / "_delta_log") as entries:
        for entry in entries:
            if not LOG_FILE.fullmatch(entry.name) or int(entry.name[:20]) > last:
                continue
            if not entry.stat(follow_symlinks=False).st_size:
                raise emptied_log(location, f"{table}/_delta_log/{entry.name}")


# DeltaTable.history numbers the log's files downwards from the version that is open: wrong
# for a pinned table, and whenever somebody has committed since it was opened
@dataclass(frozen=True)
class Commits:
    """The commits of a table up to version ``last``; looked up each time it is asked."""

    location: Location
    table: str
    last: int

    def newest_at(self, moment: datetime) -> int:
        """The newest version committed at or before ``moment``; -1 if there was none yet."""
        # the log counts whole milliseconds
        stamp = (moment - EPOCH) // timedelta(milliseconds=1)
        return max((c["version"] for c in self.all() if c["timestamp"] <= stamp), default=-1)

    def time(self, version: int) -> datetime:
        """When a version was committed: the last microsecond of the log's millisecond."""
        return EPOCH + timedelta(milliseconds=self.one(version)["timestamp"], microseconds=999)

    def one(self, version: int) -> dict[str, Any]:
        """What Delta's log says of one version.

        Raises:
            UnknownVersion: there is none.
        """
        logged = self._logged()
        if version not in logged:
            raise UnknownVersion(
                f"version {version} of the {self.table} isn't here; those from {min(logged)} to "
                f"{max(logged)} are (affectstore log lists them)"
            )
        return self._info(version, logged[version])

    def all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """What Delta's log says of each version, newest first; of the ``limit`` newest if given."""
        logged = self._logged()
        newest_first = sorted(logged, reverse=True)[:limit]
        with ThreadPoolExecutor(LOG_THREADS) as threads:
            return list(threads.map(lambda v: self._info(v, logged[v]), newest_first))

    def _logged(self) -> dict[int, float]:
        """Version -> when its log file was written."""
        found: dict[int, float] = {}
        for key, _, changed in self.location.list(f"{self.table}/_delta_log"):
            name = key.rpartition("/")[2]
            if LOG_FILE.fullmatch(name) and int(name[:20]) <= self.last:
                found[int(name[:20])] = changed
        return found

    def _info(self, version: int, changed: float) -> dict[str, Any]:
        """The log's commitInfo; ``changed`` counts where another program didn't say when."""
        key = f"{self.table}/_delta_log/{version:020d}.json"
        text = self.location.read_bytes(key)
        info: dict[str, Any] = {"timestamp": int(changed * 1000), "operation": "WRITE"}
        try:
            for line in text.splitlines():
                info |= json.loads(line).get("commitInfo", {})
        except (ValueError, TypeError, AttributeError) as error:
            raise damaged_log(self.location, key, error) from error
        return info | {"version": version}
