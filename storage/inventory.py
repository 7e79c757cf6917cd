"""What lies under ``parts/``: whole parts, and what broken-off writes left behind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from storage.layout import METADATA
from storage.local import STAGING_PREFIX, TRASH_PREFIX
from storage.location import Location

PARTS = "parts"
SUFFIX = ".zarr"
_ID_TIME = "%Y%m%dT%H%M%S%f"

#: (feature, part)
PartName = tuple[str, str]


@dataclass
class PartFiles:
    """The files of one part.

    Attributes:
        files: path within the part -> bytes.
        changed: seconds since 1970 of the newest change.
    """

    feature: str
    part: str
    files: dict[str, int] = field(default_factory=dict)
    changed: float = 0.0

    @property
    def key(self) -> str:
        """Where it lies, relative to the store's root."""
        return f"{PARTS}/{self.feature}/{self.part}{SUFFIX}"

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(self.files.values())

    @property
    def objects(self) -> int:
        """Number of its files."""
        return len(self.files)

    @property
    def whole(self) -> bool:
        """Whether it was published, and not broken off."""
        return METADATA in self.files

    @property
    def born(self) -> float:
        """Seconds since 1970 of its making: by its id, and never before its newest file."""
        try:
            moment = datetime.strptime(self.part.split("-")[0], _ID_TIME)
        except ValueError:
            return self.changed
        return moment.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Leftover:
    """A staged file or folder, or one on its way out."""

    key: str
    bytes: int
    changed: float


@dataclass
class Inventory:
    """Everything under ``parts/``."""

    parts: dict[PartName, PartFiles] = field(default_factory=dict)
    leftovers: list[Leftover] = field(default_factory=list)


def take_inventory(location: Location) -> Inventory:
    """List what is there; other processes may write meanwhile."""
    found = Inventory()
    strays: dict[str, tuple[int, float]] = {}
    for key, size, changed in location.list(PARTS):
        names = key.split("/")
        stray = next((i for i, n in enumerate(names) if _passing(n)), None)
        if stray is not None:
            above = "/".join(names[: stray + 1])
            before = strays.get(above, (0, 0.0))
            strays[above] = (before[0] + size, max(before[1], changed))
            continue
        place = next((i for i, n in enumerate(names) if n.endswith(SUFFIX)), None)
        if place is None:
            continue
        name = ("/".join(names[1:place]), names[place].removesuffix(SUFFIX))
        part = found.parts.setdefault(name, PartFiles(*name))
        part.files["/".join(names[place + 1 :])] = size
        part.changed = max(part.changed, changed)
    if location.is_local:
        _add_folders(location, strays)
    found.leftovers = [Leftover(key, *facts) for key, facts in sorted(strays.items())]
    return found


def named_parts(catalogue: pa.Table) -> set[PartName]:
    """The parts that catalogue rows name, from their columns ``feature`` and ``pieces``."""
    pieces = catalogue["pieces"].combine_chunks()
    if not len(pieces):
        return set()
    parts = pc.list_flatten(pieces).field("part")
    features = catalogue["feature"].combine_chunks().take(pc.list_parent_indices(pieces))
    pairs = pa.table({"feature": features, "part": parts}).group_by(["feature", "part"])
    rows = pairs.aggregate([]).to_pydict()
    return set(zip(rows["feature"], rows["part"], strict=True))


def _passing(name: str) -> bool:
    return name.startswith((STAGING_PREFIX, TRASH_PREFIX))


def _add_folders(location: Location, strays: dict[str, tuple[int, float]]) -> None:
    """Staged folders without files: only a local disk has such."""
    root = location.path
    for folder, names, _ in os.walk(root / PARTS):
        for name in [n for n in names if _passing(n)]:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root).replace(os.sep, "/")
            if key not in strays and os.path.isdir(path):
                strays[key] = (0, os.stat(path).st_mtime)
        names[:] = [n for n in names if not _passing(n) and not n.endswith(SUFFIX)]
