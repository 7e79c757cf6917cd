"""Which catalogue rows and parts the newest version, tags and earlier versions still name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from storage.catalogue import published_records
from storage.errors import StoreError
from storage.inventory import PartName, named_parts
from storage.location import Location
from storage.log import DataFile, TableLog, read_file
from storage.records import Published
from storage.schemas import CATALOGUE
from storage.tags import Tag


def firm_versions(logs: Mapping[str, TableLog], tags: Iterable[Tag]) -> dict[str, set[int]]:
    """Per table the newest version and every tagged one."""
    found = {name: {log.newest} for name, log in logs.items()}
    for tag in tags:
        for name, version in tag.versions.items():
            if name in found:
                found[name].add(version)
    return found


def read_catalogue(
    location: Location,
    files: Collection[DataFile],
    columns: Sequence[str],
    *,
    may_lack: Collection[DataFile] = (),
) -> pa.Table:
    """Rows of catalogue files, whatever versions they belong to.

    Args:
        may_lack: files that an earlier clean-up may have removed.

    Raises:
        StoreError: another one is missing or damaged.
    """
    schema = pa.schema([CATALOGUE.field(name) for name in columns])
    found = _files(location, files, columns, may_lack)
    return pa.concat_tables([schema.empty_table(), *(rows.cast(schema) for _, rows in found)])


def parts_by_file(
    location: Location, files: Collection[DataFile], *, may_lack: Collection[DataFile] = ()
) -> dict[DataFile, set[PartName]]:
    """The parts that each file's rows name; arguments and errors as of ``read_catalogue``."""
    found = _files(location, files, ("feature", "pieces"), may_lack)
    return {file: named_parts(rows) for file, rows in found}


def _files(
    location: Location,
    files: Collection[DataFile],
    columns: Sequence[str],
    may_lack: Collection[DataFile],
) -> Iterator[tuple[DataFile, pa.Table]]:
    expired = {file.key for file in may_lack}
    for file in files:
        try:
            yield file, read_file(location, file.key, columns)
        except FileNotFoundError as error:
            if file.key not in expired:
                raise StoreError(
                    f"{location.url}/{file.key} is gone, and a version that is kept needs it: "
                    "nothing can be told of the parts it names; restore it from a copy"
                ) from error


def reached_parts(
    location: Location, log: TableLog, firm: Collection[int], kept: Collection[int] = ()
) -> set[PartName]:
    """Parts that these versions of the catalogue name.

    Args:
        firm: versions that must be readable; of ``kept`` a file may have expired before.
    """
    needed = log.of(firm)
    others = list(set(log.of(kept)) - set(needed))
    found = parts_by_file(location, [*needed, *others], may_lack=others)
    return set().union(*found.values())


def distinct(rows: pa.Table) -> list[Published]:
    """The records of whole catalogue rows, each once: rows recur in files that replace others."""
    found: dict[tuple[object, ...], Published] = {}
    for result in published_records(rows):
        key = (result.corpus, result.clip, result.feature, result.fingerprint, result.pieces)
        found[key] = result
    return list(found.values())
