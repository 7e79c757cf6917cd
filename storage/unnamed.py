"""Rows that no version names: once clips were forgotten, none of them may hold anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import pyarrow.compute as pc

from storage.clips import FORGOTTEN
from storage.errors import DamagedPart
from storage.inventory import PartFiles, PartName, take_inventory
from storage.location import Location
from storage.log import read_file
from storage.reader import PartReader
from storage.reading import StoreReader
from storage.redact import Clips, data_files, naming
from storage.scrub import Range, filled, gaps, wipe

Named = Mapping[PartName, set[Range]]


def tombstones(store: StoreReader) -> Clips:
    """Corpus -> ids of the clips that were forgotten."""
    rows = store.snapshot["clips"].read({"state": FORGOTTEN}, ["corpus", "clip"])
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows.to_pylist():
        found[row["corpus"]].add(row["clip"])
    return found


def named_rows(location: Location, clips: Clips) -> tuple[Named, set[PartName]]:
    """Rows that other clips' results take up in any version, and parts with the clips' own."""
    named: defaultdict[PartName, set[Range]] = defaultdict(set)
    own: set[PartName] = set()
    for key in data_files(location, "catalogue"):
        try:
            rows = read_file(location, key, ["corpus", "clip", "feature", "pieces"])
        except FileNotFoundError:  # gc took it since it was listed: no version needs it
            continue
        mine = naming(rows, clips)
        for row in rows.filter(pc.invert(mine)).select(["feature", "pieces"]).to_pylist():
            for piece in row["pieces"]:
                range_ = (piece["row_start"], piece["row_stop"])
                named[row["feature"], piece["part"]].add(range_)
        for row in rows.filter(mine).select(["feature", "pieces"]).to_pylist():
            own |= {(row["feature"], piece["part"]) for piece in row["pieces"]}
    return named, own


def held(location: Location, files: PartFiles, named: set[Range]) -> bool:
    """Whether rows of a part that nobody names hold anything.

    Raises:
        DamagedPart.
    """
    found = gaps(location, files, named)
    reader = PartReader(location, files.feature, files.part)
    return not all(filled(reader, gap) for gap in found)


def wipe_unnamed(store: StoreReader, written: Collection[PartName] | None = None) -> int:
    """Overwrite what no version names, if clips of the store were forgotten; how many parts.

    A row that nobody names may be a forgotten clip's, and nobody can tell any more: so whoever
    leaves such rows behind calls this. Parts that can't be read are left to verify and repair.

    Args:
        written: only these, which the caller has just written: those that no version names are
            removed, since nobody else is about to name them. All named parts if None.
    """
    if written is not None and not written:
        return 0
    # a remote table's version is believed for a moment; here it must be the newest
    store.snapshot["clips"].reload()
    if not tombstones(store):
        return 0
    location, count = store.location, 0
    named, _ = named_rows(location, {})
    parts = take_inventory(location).parts
    for name in sorted(parts.keys() & (named.keys() if written is None else set(written))):
        files = parts[name]
        if name not in named:
            location.delete_tree(files.key)
            continue
        try:
            count += wipe(location, files, gaps(location, files, named[name])) > 0
        except DamagedPart:
            continue
    return count
