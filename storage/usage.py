"""What takes how much space: by feature, by configuration, by tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from storage import configurations
from storage.inventory import PartFiles, PartName, named_parts, take_inventory
from storage.log import read_log
from storage.reach import reached_parts
from storage.reading import StoreReader
from storage.records import Configuration
from storage.resolve import resolve
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
    clips, catalogue = store.clips(), store.catalogue()
    wanted = {
        name: _wanted(store, configuration, clips, catalogue) & parts.keys()
        for name, configuration in _configurations(store).items()
    }
    current = set().union(*wanted.values()) if wanted else named_parts(catalogue)
    features = {}
    for name in sorted({feature for feature, _ in parts}):
        own = {p for p in parts if p[0] == name}
        features[name] = _use(name, parts, own, own - current)
    log = read_log(location, "catalogue")
    newest = named_parts(catalogue) & parts.keys()
    tagged = {
        tag.name: reached_parts(location, log, [tag.versions["catalogue"]]) & parts.keys()
        for tag in tags_of(location)
    }
    named = reached_parts(location, log, [log.newest], range(log.newest))
    return Usage(
        features=tuple(features.values()),
        variants=tuple(
            _use(name, parts, mine, _apart(name, wanted)) for name, mine in wanted.items()
        ),
        tags=tuple(
            _use(name, parts, mine, _apart(name, tagged) - newest) for name, mine in tagged.items()
        ),
        unnamed=_use("", parts, parts.keys() - named, parts.keys() - named),
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


def _wanted(
    store: StoreReader, configuration: Configuration, clips: pa.Table, catalogue: pa.Table
) -> set[PartName]:
    """Parts with results that a configuration wants, and with those that no extractor makes."""
    resolved = resolve(configuration.nodes, clips, catalogue, store.failures())
    keys = resolved.filter(pc.field("state") == "published")["fingerprint"]
    made = pa.array([node.feature for node in configuration.nodes], pa.string())
    ours = pc.is_in(catalogue["fingerprint"], value_set=pc.unique(keys))
    others = pc.invert(pc.is_in(catalogue["feature"], value_set=made))
    return named_parts(catalogue.filter(pc.or_(ours, others)))


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
