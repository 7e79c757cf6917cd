"""A snapshot: all tables as one reader sees them, newest or as they once were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from storage.commits import NOTE, VERSIONS
from storage.errors import Conflict, UnknownVersion, WrongTag
from storage.location import Location
from storage.schemas import SCHEMAS
from storage.tables import COMMIT_ATTEMPTS, Table, pause
from storage.tags import NOW, point

#: a version of the catalogue, a moment, each table's own version (what a tag records), or a
#: word for one of them: a tag's name, digits, a time in ISO 8601, ``now``
At = int | datetime | str | Mapping[str, int]


class Snapshot:
    """The store's tables, each at its newest version or at one that is fixed."""

    def __init__(self, location: Location, versions: Mapping[str, int] | None = None) -> None:
        self.pinned = None if versions is None else dict(versions)
        known = self.pinned or {}
        self._tables = {name: Table(location, name, known.get(name)) for name in SCHEMAS}

    def __getitem__(self, name: str) -> Table:
        return self._tables[name]

    @property
    def versions(self) -> dict[str, int]:
        """Each table's version as a read would see it now."""
        return {name: table.version for name, table in self._tables.items()}

    def create(self) -> None:
        """Make the tables that are missing."""
        for table in self._tables.values():
            table.create()

    def check(self) -> None:
        """Raises StoreError if a file of one of these versions is gone."""
        for name, table in self._tables.items():
            table.read(columns=SCHEMAS[name].names[:1])

    @property
    def note(self) -> dict[str, str]:
        """What a commit of the catalogue says in Delta's log of the other tables."""
        return {VERSIONS: json.dumps(self.versions)}

    @staticmethod
    def settled(location: Location) -> Snapshot:
        """The tables as they all were at one moment that has just passed, and stay for good.

        Raises:
            Conflict: each time one of them changed while the others were looked up.
        """
        seen = Snapshot(location).versions
        for attempt in range(COMMIT_ATTEMPTS):
            again = Snapshot(location).versions
            if again == seen:
                return Snapshot(location, seen)
            seen = again
            pause(attempt)
        raise Conflict(f"{location.url} changed {COMMIT_ATTEMPTS} times in a row; try again")

    @staticmethod
    def at(location: Location, at: At) -> Snapshot:
        """The tables as they were.

        Args:
            at: a version of the catalogue, a moment (with a time zone), table -> version, or a
                word: see ``storage.tags.point``. With a version of the catalogue, the other
                tables are taken as its commit saw them; commits that don't tell, from other
                programs, count by their time.

        Raises:
            UnknownVersion: there was no store yet, or no such version or tag. WrongTag: a word
                that is none of these, or a moment without a time zone.
        """
        if at == NOW:
            return Snapshot.settled(location)
        if isinstance(at, str):
            at = point(at, location)
        if isinstance(at, Mapping):
            return Snapshot(location, at)
        newest = Snapshot(location)
        if isinstance(at, int):
            return Snapshot(location, _seen_by(newest, at) | {"catalogue": at})
        if at.tzinfo is None:
            raise WrongTag(f"at={at} has no time zone: datetime.now(UTC) has one")
        versions = {name: newest[name].commits.newest_at(at) for name in SCHEMAS}
        if versions["catalogue"] < 0:
            made = min(newest["catalogue"].commits.all(), key=lambda h: h["version"])
            first = newest["catalogue"].commits.time(made["version"])
            raise UnknownVersion(f"at={at}: the store begins at {first.isoformat()}")
        return Snapshot(location, _begun(versions))


def _seen_by(newest: Snapshot, version: int) -> dict[str, int]:
    """Table -> version as a commit of the catalogue saw them."""
    told = newest["catalogue"].commits.one(version).get(NOTE + VERSIONS)
    if told is not None:
        return {name: int(seen) for name, seen in json.loads(told).items() if name in SCHEMAS}
    moment = newest["catalogue"].commits.time(version)
    return _begun({name: newest[name].commits.newest_at(moment) for name in SCHEMAS})


def _begun(versions: Mapping[str, int]) -> dict[str, int]:
    # a table made in the same instant as the catalogue is empty at its version 0
    return {name: max(version, 0) for name, version in versions.items()}
