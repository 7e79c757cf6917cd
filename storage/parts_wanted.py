"""The parts that hold what each of a store's configurations wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from storage.inventory import PartName
from storage.reading import StoreReader
from storage.records import Configuration, Node
from storage.resolve import CLIP_COLUMNS, FAILURE_COLUMNS, Resolution, closure, packed


def parts_wanted(
    store: StoreReader, configurations: Mapping[str, Configuration]
) -> dict[str, set[PartName]]:
    """Configuration -> parts with results that it wants, or that no extractor of its makes.

    The catalogue is read twice, however many configurations there are; of each only that is
    resolved which no earlier one has.
    """
    catalogue = store.snapshot["catalogue"].fixed()
    nodes = [node for c in configurations.values() for node in c.nodes]
    clips = store.clips(columns=CLIP_COLUMNS)
    found: dict[str, set[PartName]] = {}
    known: dict[int, set[PartName]] = {}
    numbers: dict[tuple[object, ...], int] = {}
    with Resolution(
        nodes, clips, catalogue.batches, store.failures(columns=FAILURE_COLUMNS), all_keys=False
    ) as resolution:
        db = resolution.db
        db.register("pieces_in", catalogue.batches({}, ("feature", "fingerprint", "pieces")))
        db.execute(
            f"""CREATE TABLE held AS SELECT feature, {packed("fingerprint")} AS fingerprint,
                unnest(pieces).part AS part FROM pieces_in"""
        )
        db.unregister("pieces_in")
        by_feature: defaultdict[str, set[PartName]] = defaultdict(set)
        for feature, part in db.execute("SELECT DISTINCT feature, part FROM held").fetchall():
            by_feature[feature].add((feature, part))
        for name, configuration in configurations.items():
            own = identities(configuration.nodes, numbers)
            fresh = [feature for feature, key in own.items() if key not in known]
            for node in resolution.states(closure(configuration.nodes, fresh)):
                rows = db.execute(_PARTS, [node.feature]).fetchall()
                known[own[node.feature]] = {(node.feature, part) for (part,) in rows}
            others = [parts for feature, parts in by_feature.items() if feature not in own]
            found[name] = set().union(*(known[key] for key in own.values()), *others)
    return found


def identities(nodes: Sequence[Node], numbers: dict[tuple[object, ...], int]) -> dict[str, int]:
    """Feature -> a number for its node and all that it reads: equal ones want equal results."""
    found: dict[str, int] = {}
    for node in nodes:
        reads = tuple((slot, f, found.get(f)) for slot, f in sorted(node.inputs))
        key = (node.feature, node.extractor_key, node.reads_media, node.attrs, reads)
        found[node.feature] = numbers.setdefault(key, len(numbers))
    return found


_PARTS = """
SELECT DISTINCT part FROM held WHERE feature = ? AND fingerprint IN (
    SELECT fingerprint FROM state WHERE state = 'published'
)
"""
