"""Reading the store against its hashes: what is missing, damaged, or named by nobody."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.spec import FeatureSpec
from storage.checkpoints import checkpoint_damage
from storage.content import ContentHash
from storage.errors import DamagedPart, StoreError
from storage.feature_names import check_features
from storage.forget import remains
from storage.inventory import Inventory, PartFiles, PartName, take_inventory
from storage.location import Location
from storage.log import TableLog, log_key, lost_commits, read_file, read_logs
from storage.log_stats import stats_damage
from storage.padding import behind, beyond
from storage.pieces import place, spans
from storage.reach import distinct, firm_versions, reached_parts, read_catalogue
from storage.reader import PartReader
from storage.reading import StoreReader
from storage.records import Piece, Published
from storage.schemas import CATALOGUE, SCHEMAS
from storage.scrub import Gap, filled
from storage.structure import structure_damage
from storage.tags import tags_of
from storage.unnamed import tombstones

MISSING, DAMAGED, REMAINS = "missing", "damaged", "remains"
#: bytes of values that are held at once
READ_BYTES = 32 << 20

#: called with (results checked, results to check)
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """One part, or one file of a table, that isn't what it should be.

    Attributes:
        kind: ``missing``, ``damaged``, or ``remains`` of clips that were forgotten.
        feature: empty for a table's file; then ``part`` is the file's key.
        clips: (corpus, clip) of the results that can't be trusted.
    """

    kind: str
    feature: str
    part: str
    message: str
    clips: tuple[tuple[str, str], ...] = ()


@dataclass
class Verification:
    """What a check found.

    Attributes:
        results: results read; of: results that there are; parts, bytes: what was read for them.
        damaged: the results that can't be trusted, under tags too.
        orphans: parts that no version names: left by broken-off runs, or of runs under way.
    """

    results: int = 0
    of: int = 0
    parts: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    damaged: list[Published] = field(default_factory=list)
    orphans: list[PartFiles] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing is missing or damaged; orphans only take space."""
        return not self.problems

    def to_json(self) -> dict[str, object]:
        """The facts, for ``verify --json``."""
        return {
            "clean": self.clean,
            "results": self.results,
            "of": self.of,
            "parts": self.parts,
            "bytes": self.bytes,
            "problems": [vars(p) for p in self.problems],
            "orphans": [
                {"feature": p.feature, "part": p.part, "bytes": p.bytes} for p in self.orphans
            ],
        }


def verify(
    store: StoreReader,
    *,
    sample: float = 1.0,
    features: Collection[str] | None = None,
    seed: int | None = None,
    tell: Tell | None = None,
) -> Verification:
    """Read results again and compare them with their hashes; changes nothing.

    Every result that the newest version or a tag names is checked once: its values, validity
    and offsets against the content hash, its digests against its rows, and its parts' metadata
    and shard indexes; padding behind it must be empty. Rows that no version names any more belong
    to nobody; they are looked at only if clips were forgotten, since then nothing may be left.

    Args:
        sample: share of the results to check, 0..1, drawn at random; tables and the presence of
            parts are always checked.
        features: check these only.
        seed: draw the same sample again.
        tell: progress.

    Raises:
        NotPublished: no result of one of ``features`` is there.
    """
    check_features(store, features)
    location = store.location
    found = Verification()
    logs = read_logs(location)
    tags = tags_of(location)
    firm = firm_versions(logs, tags)
    inventory = take_inventory(location)
    for name, log in logs.items():
        found.problems += _check_table(location, log, firm[name])
    found.problems += [Problem(MISSING, "", *lost) for lost in lost_commits(logs, tags)]
    broken = {p.part for p in found.problems}
    files = [f for f in logs["catalogue"].of(firm["catalogue"]) if f.key not in broken]
    rows = read_catalogue(location, files, CATALOGUE.names)
    if features is not None:
        rows = rows.filter(pc.field("feature").isin(list(features)))
    elif not broken:
        found.orphans = _orphans(location, logs["catalogue"], firm["catalogue"], inventory)
    _check_results(location, rows, inventory, found, sample, random.Random(seed), tell)
    found.problems += [Problem(REMAINS, *left) for left in remains(location, tombstones(store))]
    return found


def damage_of(location: Location) -> Callable[[Published], str | None]:
    """What tells what is wrong with one result's rows after another, or None; parts are listed
    once."""
    return _Checker(location, take_inventory(location)).damage


def _check_table(location: Location, log: TableLog, versions: Collection[int]) -> list[Problem]:
    problems: list[Problem] = []
    sizes = {key: size for key, size, _ in location.list(log.name)}
    for file in log.of(versions):
        try:
            columns = None if log.name == "catalogue" else SCHEMAS[log.name].names
            rows = read_file(location, file.key, columns)
            wrong = stats_damage(file, sizes[file.key], rows)
            if wrong is not None:
                text = f"{wrong}: restore {log_key(log.name, file.added)} from a copy"
                problems.append(Problem(DAMAGED, "", log_key(log.name, file.added), text))
        except FileNotFoundError:
            text = f"a file of the {log.name} table is missing: restore it from a copy"
            problems.append(Problem(MISSING, "", file.key, text))
        except StoreError as error:
            problems.append(Problem(DAMAGED, "", file.key, f"{error}: restore it from a copy"))
    checked = checkpoint_damage(location, log)
    return problems + [Problem(DAMAGED, "", key, text) for key, text in checked]


def _orphans(
    location: Location, log: TableLog, firm: Collection[int], inventory: Inventory
) -> list[PartFiles]:
    named = reached_parts(location, log, firm, range(log.newest + 1))
    return [part for name, part in sorted(inventory.parts.items()) if name not in named]


def _check_results(
    location: Location,
    rows: pa.Table,
    inventory: Inventory,
    found: Verification,
    sample: float,
    draw: random.Random,
    tell: Tell | None,
) -> None:
    results = distinct(rows)
    found.of = len(results)
    # results that another clip's were adopted for share their rows: read once
    shared: defaultdict[tuple[str, tuple[Piece, ...], str], list[Published]] = defaultdict(list)
    for result in sorted(results, key=_by_part):
        shared[result.feature, result.pieces, result.content].append(result)
    checker = _Checker(location, inventory)
    causes: defaultdict[tuple[str, str, str, str], list[Published]] = defaultdict(list)
    for same in shared.values():
        one = same[0]
        gone = next((p.part for p in one.pieces if not checker.there(one.feature, p.part)), None)
        if gone is not None:
            cause = (MISSING, one.feature, gone, "the part isn't there")
            causes[cause] += same
        elif sample >= 1 or draw.random() < sample:
            found.results += len(same)
            found.bytes += one.bytes
            wrong = checker.damage(one)
            if wrong is not None:
                causes[DAMAGED, one.feature, checker.where, wrong] += same
        if tell is not None:
            tell(found.results, found.of)
    found.parts = len(checker.seen)
    for (kind, feature, part, message), hurt in sorted(causes.items()):
        clips = tuple(sorted({(r.corpus, r.clip) for r in hurt}))
        found.problems.append(Problem(kind, feature, part, message, clips))
        found.damaged += hurt


def _by_part(result: Published) -> tuple[str, str, int]:
    first = result.pieces[0] if result.pieces else Piece("", 0, 0)
    return (result.feature, first.part, first.row_start)


class _Checker:
    """Checks results in order of their parts; a part's own files are looked at once."""

    def __init__(self, location: Location, inventory: Inventory) -> None:
        self._location, self._parts = location, inventory.parts
        self._reader: PartReader | None = None
        self.seen: dict[PartName, str | None] = {}
        #: the part at which the last look ended
        self.where = ""

    def there(self, feature: str, part: str) -> bool:
        """Whether the part was published."""
        files = self._parts.get((feature, part))
        return files is not None and files.whole

    def damage(self, result: Published) -> str | None:
        """What is wrong with a result, or None; ``where`` then names the part."""
        if not result.pieces:
            return None if result.rows == 0 else "the result has rows but no pieces"
        content: ContentHash | None = None
        rows = 0
        try:
            for piece in result.pieces:
                self.where = piece.part
                wrong = self._structure(result.feature, piece.part)
                if wrong is not None:
                    return wrong
                reader = self._open(result.feature, piece.part)
                content = content or ContentHash.of(reader.spec)
                rows += self._read(reader, piece, content)
        except DamagedPart as error:
            return _reason(error)
        if rows != result.rows:
            return f"{rows} rows instead of {result.rows}"
        if content is None or content.hexdigest() != result.content:
            return "the rows differ from their content hash"
        return None

    def _read(self, reader: PartReader, piece: Piece, content: ContentHash) -> int:
        spec = reader.spec
        count = piece.row_stop - piece.row_start
        for start in range(0, count, chunk_rows(spec)):
            for span in spans([piece], start, start + chunk_rows(spec), spec.block):
                rows = place(spec, [reader.read(span.row_start, span.row_stop)], 0, 0.0, None)
                content.update(rows)
                stored = reader.digest(span.row_start, span.row_stop)
                if not np.array_equal(stored, rows.digest):
                    raise reader.damaged("has digests that differ from its rows")
        with reader.reading():
            stop = piece.row_stop
            items = int(reader.offsets(stop, stop)[-1]) if spec.ragged else 0
        if reader.header.known_codec:
            _check_padding(reader, behind(reader.header.layout, piece, items))
        return count

    def _open(self, feature: str, part: str) -> PartReader:
        # never from the process's cache: that may hold files open which are gone by now
        held = self._reader
        if held is None or (held.feature, held.part) != (feature, part):
            held = self._reader = PartReader(self._location, feature, part)
        return held

    def _structure(self, feature: str, part: str) -> str | None:
        name = (feature, part)
        if name not in self.seen:
            try:
                self.seen[name] = structure_damage(self._location, self._parts[name])
                reader = None if self.seen[name] else self._open(feature, part)
                if reader and reader.header.known_codec:
                    header = reader.header
                    _check_padding(reader, beyond(header.layout, header.rows))
            except DamagedPart as error:
                self.seen[name] = _reason(error)
        return self.seen[name]


def _check_padding(reader: PartReader, found: Iterable[Gap]) -> None:
    for gap in found:
        if not filled(reader, gap):
            raise reader.damaged(f"is damaged ({gap.array.path} holds something where nothing is)")


def chunk_rows(spec: FeatureSpec) -> int:
    """Rows to read at once, on a border of blocks; a ragged row is taken for ten items."""
    each = max(1, spec.row_bytes * (10 if spec.ragged else 1))
    count = max(1, READ_BYTES // each)
    return max(spec.block, count - count % spec.block)


def _reason(error: DamagedPart) -> str:
    """The error's text without the part's name, which is told beside it, and the remedy."""
    text = str(error).removesuffix(": `affectstore verify` lists the clips to extract again")
    words: Sequence[str] = text.split(" ", 4)
    return words[4] if text.startswith("part ") and len(words) == 5 else text
