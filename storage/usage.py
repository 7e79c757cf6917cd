"""What takes how much space: by feature, by configuration, by tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import pyarrow.compute as pc

from storage import configurations
from storage.inventory import PartFiles, PartName, take_inventory
from storage.log import read_log
from storage.parts_wanted import parts_wanted
from storage.reach import parts_by_file
from storage.reading import StoreReader
from storage.records import Configuration
from storage.schemas import SCHEMAS
from storage.tags import tags_of


@dataclass(frozen=True)
class Use:
    """The space that one name takes; a part counts whole if any of its results is meant.

    Attributes:
        bytes: on disk; objects: files.
        only: bytes that nothing else of the same list reaches: of a feature, what no
            configuration wants any more; of a tag, what neither another tag nor the newest
            version names.
    """

    name: str
    bytes: int
    only: int
    parts: int
    objects: int


@dataclass(frozen=True)
class Usage:
    """The space that a store takes.

    Attributes:
        features: in order of name; here ``only`` is what is superseded.
        variants: configurations by name.
        tables: bytes of the tables and their logs; leftovers: of broken-off writes.
        unnamed: parts that no version names.
    """

    features: tuple[Use, ...]
    variants: tuple[Use, ...]
    tags: tuple[Use, ...]
    unnamed: Use
    tables: int
    leftovers: int

    @property
    def bytes(self) -> int:
        """Everything."""
        return sum(use.bytes for use in self.features) + self.tables + self.leftovers

    def to_json(self) -> dict[str, object]:
        """The facts, for ``du --json``."""
        return {"bytes": self.bytes} | asdict(self)


def usage(store: StoreReader) -> Usage:
    """Measure the store; reads its tables and lists its files, no part is opened.

    The parts of all features are all parts, those of earlier and of no versions included.
    """
    location = store.location
    inventory = take_inventory(location)
    parts = inventory.parts
    log, tags = read_log(location, "catalogue"), tags_of(location)
    now = store.snapshot["catalogue"].version
    firm = log.of({now, log.newest, *(tag.versions["catalogue"] for tag in tags)})
    older = list(set(log.files) - set(firm))
    by_file = parts_by_file(location, [*firm, *older], may_lack=older)

    def named(version: int) -> set[PartName]:
        found: set[PartName] = set().union(*(by_file[file] for file in log.of([version])))
        return found & parts.keys()

    newest = named(now)
    wanted = {
        name: found & parts.keys()
        for name, found in parts_wanted(store, _configurations(store)).items()
    }
    current = set().union(*wanted.values()) if wanted else newest
    features = {}
    for name in sorted({feature for feature, _ in parts}):
        own = {p for p in parts if p[0] == name}
        features[name] = _use(name, parts, own, own - current)
    tagged = {tag.name: named(tag.versions["catalogue"]) for tag in tags}
    unnamed = parts.keys() - set().union(*by_file.values())
    return Usage(
        features=tuple(features.values()),
        variants=tuple(
            _use(name, parts, mine, _apart(name, wanted)) for name, mine in wanted.items()
        ),
        tags=tuple(
            _use(name, parts, mine, _apart(name, tagged) - newest) for name, mine in tagged.items()
        ),
        unnamed=_use("", parts, unnamed, unnamed),
        tables=sum(size for table in SCHEMAS for _, size, _ in location.list(table)),
        leftovers=sum(leftover.bytes for leftover in inventory.leftovers),
    )


def _configurations(store: StoreReader) -> dict[str, Configuration]:
    """The newest version of every configuration that the store keeps, in order of name."""
    rows = store.snapshot["configurations"].read()
    found = {}
    for name in sorted(pc.unique(rows["name"]).to_pylist()):
        newest = configurations.newest(rows.filter(pc.field("name") == name))
        if newest is not None:
            found[name] = newest[1]
    return found


def _apart(name: str, sets: Mapping[str, set[PartName]]) -> set[PartName]:
    """What only that one of the sets has."""
    others: set[PartName] = set()
    for other, parts in sets.items():
        if other != name:
            others |= parts
    return sets[name] - others


def _use(
    name: str,
    parts: Mapping[PartName, PartFiles],
    mine: Iterable[PartName],
    only: Iterable[PartName],
) -> Use:
    held = [parts[p] for p in mine]
    return Use(
        name,
        sum(part.bytes for part in held),
        sum(parts[p].bytes for p in only),
        len(held),
        sum(part.objects for part in held),
    )
