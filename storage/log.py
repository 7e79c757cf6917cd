"""What the Delta logs tell: of which files each version of a table is made, and since when."""

from __future__ import annotations

import io
import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from storage.commits import LOG_FILE, NOTE, VERSIONS, damaged_log, emptied_log
from storage.errors import NotAStore, StoreError, first_line
from storage.location import Location
from storage.schemas import SCHEMAS
from storage.tags import Tag

#: log files read at a time: a remote store answers each in some ten milliseconds
THREADS = 16
LOG = "_delta_log"


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        key: relative to the store's root.
        added: the version that brought it.
        removed: the version that took it out, None while it is part of the newest one.
        stats: JSON of what the log says of its rows, by which readers leave files out.
    """

    key: str
    size: int
    added: int
    removed: int | None
    stats: str = "{}"


@dataclass(frozen=True)
class TableLog:
    """All versions of one table.

    Attributes:
        committed: version -> seconds since 1970 of its commit.
        files: every file that any version ever had.
        metadata: version that brought it -> ``metadata_facts``, oldest first.
        seen: table -> newest version that any of the commits saw, as they tell.
    """

    name: str
    committed: tuple[float, ...]
    files: tuple[DataFile, ...]
    metadata: tuple[tuple[int, object], ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def newest(self) -> int:
        """The newest version."""
        return len(self.committed) - 1

    def current_since(self, moment: float) -> set[int]:
        """Versions that were the newest one at ``moment`` or later."""
        followed = enumerate(self.committed[1:])
        return {self.newest} | {v for v, superseded in followed if superseded >= moment}

    def of(self, versions: Collection[int]) -> list[DataFile]:
        """The files of which these versions are made."""
        wanted = sorted(versions)

        def serves(file: DataFile) -> bool:
            first = bisect_left(wanted, file.added)
            return first < len(wanted) and (file.removed is None or wanted[first] < file.removed)

        return [file for file in self.files if serves(file)]


def log_key(table: str, version: int) -> str:
    """Where a version's commit lies, relative to the store's root."""
    return f"{table}/{LOG}/{version:020d}.json"


def read_log(location: Location, table: str) -> TableLog:
    """A table's log from its first version on.

    Raises:
        NotAStore: there is no log. StoreError: a commit is missing or damaged, so that nobody
            can tell which files are needed.
    """
    names = [key.rpartition("/")[2] for key, _, _ in location.list(f"{table}/{LOG}")]
    versions = sorted(int(n[:20]) for n in names if LOG_FILE.fullmatch(n))
    if not versions:
        raise NotAStore(f"{location.url}/{table} has no log: the store isn't whole")
    if versions != list(range(len(versions))):
        raise StoreError(
            f"{location.url}/{table}: the log lacks version "
            f"{min(set(range(versions[-1])) - set(versions))}; restore it from a copy"
        )
    with ThreadPoolExecutor(THREADS) as threads:
        texts = list(threads.map(lambda v: location.read_bytes(log_key(table, v)), versions))
    committed: list[float] = []
    live: dict[str, DataFile] = {}
    files: list[DataFile] = []
    metadata: list[tuple[int, object]] = []
    seen: dict[str, int] = {}
    for version, text in enumerate(texts):
        moment = committed[-1] if committed else 0.0
        if not text.strip():
            raise emptied_log(location, log_key(table, version))
        try:
            for line in text.splitlines():
                action = json.loads(line)
                if "commitInfo" in action:
                    moment = action["commitInfo"].get("timestamp", moment * 1000) / 1000
                    noted = json.loads(action["commitInfo"].get(NOTE + VERSIONS, "{}"))
                    seen |= {name: max(int(v), seen.get(name, 0)) for name, v in noted.items()}
                elif "add" in action:
                    added = _added(table, version, action["add"])
                    live[added.key] = added
                elif "metaData" in action:
                    metadata.append((version, metadata_facts(action["metaData"])))
                elif "remove" in action:
                    key = file_key(table, action["remove"])
                    if key in live:
                        files.append(replace(live.pop(key), removed=version))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged_log(location, log_key(table, version), error) from error
        committed.append(moment)
    every = (*files, *live.values())
    return TableLog(table, tuple(committed), every, tuple(metadata), seen)


def read_logs(location: Location) -> dict[str, TableLog]:
    """The logs of all tables."""
    return {name: read_log(location, name) for name in SCHEMAS}


def lost_commits(logs: Mapping[str, TableLog], tags: Iterable[Tag]) -> Iterator[tuple[str, str]]:
    """Key of each newest commit that is gone, and who knows it: a commit that saw it, or a tag."""
    told = [("the catalogue", logs["catalogue"].seen)]
    told += [(f"tag {tag.name}", tag.versions) for tag in tags]
    for name, log in logs.items():
        version, who = max((seen.get(name, 0), who) for who, seen in told)
        if version > log.newest:
            yield (
                log_key(name, version),
                f"{who} knows version {version} of the {name}, the log ends at {log.newest}: "
                "restore what is lacking from a copy; else what it brought is lost",
            )


def read_file(location: Location, key: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One of a table's files.

    Raises:
        FileNotFoundError: it isn't there. StoreError: it can't be read.
    """
    source = io.BytesIO(location.read_bytes(key))
    try:
        names = None if columns is None else list(columns)
        return pq.ParquetFile(source).read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{location.url}/{key} is damaged ({first_line(error)})") from error


def _added(table: str, version: int, action: dict[str, Any]) -> DataFile:
    stats = action.get("stats") or "{}"
    return DataFile(file_key(table, action), int(action["size"]), version, None, stats)


def metadata_facts(action: dict[str, Any]) -> object:
    """What readers go by: the table's id, schema and settings."""
    return action["id"], action["schemaString"], dict(action["configuration"])


def file_key(table: str, action: dict[str, Any]) -> str:
    """Where the file of an ``add`` or ``remove`` lies, relative to the store's root."""
    return f"{table}/{unquote(action['path'])}"
