"""A snapshot: all tables as one reader sees them, newest or as they once were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from storage.errors import StoreError
from storage.location import Location
from storage.schemas import SCHEMAS
from storage.tables import Table

#: a version of the catalogue, a moment, or each table's own version (what a tag records)
At = int | datetime | Mapping[str, int]


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

    @staticmethod
    def at(location: Location, at: At) -> Snapshot:
        """The tables as they were.

        Args:
            at: a version of the catalogue (the other tables are taken as they were when it was
                committed), a moment (with a time zone), or table -> version.

        Raises:
            StoreError: there was no store yet, or no such version.
        """
        if isinstance(at, Mapping):
            return Snapshot(location, at)
        newest = Snapshot(location)
        if isinstance(at, int):
            last = newest["catalogue"].version
            if not 0 <= at <= last:
                raise StoreError(f"at={at}: the catalogue's versions are 0 to {last}")
            moment = newest["catalogue"].committed(at)
        else:
            moment = at
        versions = {name: newest[name].version_at(moment) for name in SCHEMAS}
        if isinstance(at, int):
            versions["catalogue"] = at
        early = [name for name, version in versions.items() if version < 0]
        if early and not isinstance(at, int):
            raise StoreError(f"at={at}: the store was made later than that")
        # a table made in the same instant as the catalogue is empty at its version 0
        return Snapshot(location, versions | dict.fromkeys(early, 0))
