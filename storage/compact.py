"""Merging many small parts into few large ones; every hash and key stays as it was."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from features.spec import FeatureSpec
from storage.amend import amend
from storage.errors import DamagedPart, ReadOnlyStore, WrongFormat
from storage.feature_names import check_features
from storage.inventory import PartFiles, take_inventory
from storage.layout import METADATA, PartHeader
from storage.location import Location
from storage.part import PartWriter
from storage.reader import PartReader
from storage.records import Piece
from storage.schemas import CATALOGUE, SCHEMAS
from storage.store import FeatureStore
from storage.unnamed import wipe_unnamed
from storage.verify import chunk_rows

#: a part is closed at this size, or with so many clips (as extract's own are)
PART_BYTES = 256 << 20
PART_CLIPS = 4_096
#: a part with less than this share of both is small
SMALL = 0.5

Pieces = tuple[Piece, ...]
Move = dict[Pieces, Pieces]
#: called with (feature, small parts to merge)
Tell = Callable[[str, int], None]


@dataclass
class Compaction:
    """What was merged.

    Attributes:
        before, after: parts that the newest version reads, per feature that was touched.
        damaged: (feature, part) -> why results in it stay where they are.
        files: table -> files that were merged.
    """

    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    damaged: dict[tuple[str, str], str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The facts, for ``compact --json``."""
        return {
            "features": {
                name: {"before": self.before[name], "after": self.after[name]}
                for name in self.before
            },
            "damaged": [
                {"feature": f, "part": p, "message": text} for (f, p), text in self.damaged.items()
            ],
            "files": self.files,
        }


@dataclass(frozen=True)
class _Source:
    """A small part, and what its rows may be merged with: only parts that say the same."""

    files: PartFiles
    header: PartHeader
    clips: int
    #: JSON of spec, codec and description
    kind: str


def compact(
    store: FeatureStore,
    *,
    features: Collection[str] | None = None,
    dry_run: bool = False,
    tell: Tell | None = None,
) -> Compaction:
    """Merge small parts of each feature, then small files of the tables.

    The new parts come first; then one commit per feature moves the rows there, those that still
    lie where they were read. Earlier versions and tags keep their old parts until gc. Results
    are checked against their content hashes on the way; damaged ones stay where they are.

    Raises:
        ReadOnlyStore; StoreFull; Conflict if other processes commit without a pause;
        NotPublished: no result of one of ``features`` is there.
    """
    if store.read_only and not dry_run:
        raise ReadOnlyStore(f"{store!r} is open for reading only; open it without read_only, at")
    check_features(store, features)
    done = Compaction()
    inventory = take_inventory(store.location)
    sources: defaultdict[str, list[_Source]] = defaultdict(list)
    for (feature, _), files in sorted(inventory.parts.items()):
        if files.whole and (features is None or feature in features):
            source = _small(store.location, files)
            if source is not None:
                sources[feature].append(source)
    for feature, small in sources.items():
        _compact_feature(store, feature, small, done, dry_run, tell)
    if not dry_run:
        done.files = {
            name: store.snapshot[name].merge_files({"what": "compact"}) for name in SCHEMAS
        }
    return done


def _small(location: Location, files: PartFiles) -> _Source | None:
    if files.bytes >= SMALL * PART_BYTES:
        return None
    try:
        document = location.read_bytes(f"{files.key}/{METADATA}")
        header = PartHeader.parse(document, files.key)
    except (FileNotFoundError, ValueError, WrongFormat):  # verify tells; a merge leaves it alone
        return None
    if header.clips >= SMALL * PART_CLIPS or not header.known_codec:
        return None
    if header.spec.name != files.feature:
        return None
    attributes = json.loads(document)["attributes"]
    told = {k: v for k, v in attributes.items() if k not in ("clips", "rows", "file_bytes")}
    return _Source(files, header, header.clips, json.dumps(told, sort_keys=True))


def _compact_feature(
    store: FeatureStore,
    feature: str,
    small: Sequence[_Source],
    done: Compaction,
    dry_run: bool,
    tell: Tell | None,
) -> None:
    rows = store.catalogue(features=[feature], columns=["corpus", "clip", "content", "pieces"])
    rows = rows.sort_by([("corpus", "ascending"), ("clip", "ascending")])
    results = {_pieces(r["pieces"]): r["content"] for r in rows.to_pylist() if r["pieces"]}
    used = {piece.part for pieces in results for piece in pieces}
    groups: defaultdict[str, list[_Source]] = defaultdict(list)
    for source in small:
        if source.files.part in used:
            groups[source.kind].append(source)
    worth = [group for group in groups.values() if len(group) > _parts_needed(group)]
    if not worth:
        return
    merged = sum(len(group) for group in worth)
    if tell is not None:
        tell(feature, merged)
    if dry_run:
        done.before[feature] = len(used)
        done.after[feature] = len(used) - merged + sum(map(_parts_needed, worth))
        return
    moves: Move = {}
    for group in worth:
        moves |= _rewrite(store.location, feature, group, results, done)
    _commit(store, feature, moves)
    # of clips that were forgotten meanwhile, and of results that were withdrawn
    wipe_unnamed(store, {(feature, p.part) for pieces in moves.values() for p in pieces})
    done.before[feature] = len(used)
    done.after[feature] = len({p.part for pieces in results for p in moves.get(pieces, pieces)})


def _parts_needed(group: Sequence[_Source]) -> int:
    size, clips = sum(s.files.bytes for s in group), sum(s.clips for s in group)
    return max(-(-size // PART_BYTES), -(-clips // PART_CLIPS))


def _rewrite(
    location: Location,
    feature: str,
    group: Sequence[_Source],
    results: dict[Pieces, str],
    done: Compaction,
) -> Move:
    """Copy the results that lie wholly in these parts into new ones; where each went."""
    header = group[0].header
    codec = header.layout.codec.name
    parts = {source.files.part for source in group}
    moves: Move = {}
    with PartWriter(
        location,
        header.spec,
        description=header.description,
        codec=codec,
        max_bytes=PART_BYTES,
        max_clips=PART_CLIPS,
    ) as writer:
        readers = _Readers(location, feature)
        for pieces, content in results.items():
            if not all(piece.part in parts for piece in pieces):
                continue
            writer.begin()
            try:
                for rows_from, start, stop in readers.runs(pieces, header.spec):
                    writer.append(rows_from.read(start, stop))
            except DamagedPart as error:
                writer.abort()
                done.damaged[feature, pieces[0].part] = str(error)
                continue
            if writer.content != content:
                writer.abort()
                text = "the rows differ from their content hash: affectstore repair withdraws them"
                done.damaged[feature, pieces[0].part] = text
                continue
            moves[pieces] = writer.finish().pieces
    return moves


class _Readers:
    """Parts open for reading, the last few of them."""

    def __init__(self, location: Location, feature: str) -> None:
        self._location, self._feature = location, feature
        self._open: dict[str, PartReader] = {}

    def runs(self, pieces: Pieces, spec: FeatureSpec) -> Iterator[tuple[PartReader, int, int]]:
        """(part, row_start, row_stop), each of a size to be held in memory."""
        step = chunk_rows(spec)
        for piece in pieces:
            reader = self._get(piece.part)
            for start in range(piece.row_start, piece.row_stop, step):
                yield reader, start, min(piece.row_stop, start + step)

    def _get(self, part: str) -> PartReader:
        if part not in self._open:
            while len(self._open) >= 16:
                del self._open[next(iter(self._open))]
            self._open[part] = PartReader(self._location, self._feature, part)
        return self._open[part]


def _commit(store: FeatureStore, feature: str, moves: Move) -> None:
    def moved(rows: pa.Table) -> pa.Table | None:
        found = repointed(rows, moves)
        order = [("corpus", "ascending"), ("clip", "ascending"), ("time", "ascending")]
        return None if found is None else found.sort_by(order)

    said = f"compact: {len(moves)} results of {feature} moved into larger parts"
    amend(store.snapshot["catalogue"], {"feature": feature}, moved, said)


def repointed(rows: pa.Table, moves: Mapping[Pieces, Pieces]) -> pa.Table | None:
    """Catalogue rows with their pieces where they went; None if none of them went anywhere."""
    old = [_pieces(entry) for entry in rows["pieces"].to_pylist()]
    if not any(pieces in moves for pieces in old):
        return None
    new = [[vars(p) for p in moves.get(pieces, pieces)] for pieces in old]
    column = pa.array(new, CATALOGUE.field("pieces").type)
    place = rows.schema.get_field_index("pieces")
    return rows.set_column(place, CATALOGUE.field("pieces"), column)


def _pieces(entry: list[dict[str, object]]) -> Pieces:
    return tuple(Piece(**p) for p in entry)  # type: ignore[arg-type]
