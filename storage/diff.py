"""What differs between the results at two points of a store's history, or in two stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.spelling import nearest
from storage.catalogue import published_records
from storage.chosen import Choice
from storage.compare import ClipDiff, Size, compare
from storage.database import database
from storage.errors import NotPublished, UnknownCorpus
from storage.lookup import DEFAULT
from storage.reading import StoreReader
from storage.records import Published
from storage.resolve import unpacked
from storage.snapshot import Snapshot

#: corpus and clip
Name = tuple[str, str]


@dataclass(frozen=True, eq=False)
class FeatureDiff:
    """What differs in one feature.

    Attributes:
        added, removed: clips that have a result only after, or only before.
        changed: clips whose result has other rows or times, in order of corpus and clip.
        same: number of clips whose result is the same.
        rows_added, rows_removed: of these clips, and beyond the last row of the shorter result
            of a changed one.
        rows_compared: rows that there are before and after.
    """

    feature: str
    added: tuple[Name, ...]
    removed: tuple[Name, ...]
    changed: tuple[ClipDiff, ...]
    same: int
    rows_added: int
    rows_removed: int
    rows_compared: int

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.added or self.removed or self.changed)

    @property
    def rows_changed(self) -> int:
        """Rows of the changed clips whose digest changed."""
        return sum(clip.rows_changed for clip in self.changed)

    @property
    def share(self) -> float:
        """Share of changed rows among those compared, 0..1."""
        return self.rows_changed / self.rows_compared if self.rows_compared else 0.0

    @property
    def size(self) -> Size:
        """How large the change is, over the changed rows of all clips."""
        return reduce(lambda sum_, clip: sum_ + clip.size, self.changed, Size())

    @property
    def items(self) -> tuple[int, int] | None:
        """Of a ragged feature, items in the changed rows before and after."""
        counts = [clip.items for clip in self.changed if clip.items is not None]
        return (sum(c[0] for c in counts), sum(c[1] for c in counts)) if counts else None


def diff(
    a: StoreReader,
    b: StoreReader,
    features: Sequence[str] | None = None,
    corpus: str | None = None,
    *,
    variant: str | None = None,
    against: str | None = None,
) -> list[FeatureDiff]:
    """What differs between the results of each clip and feature in ``a`` and in ``b``.

    Results of equal content are not read; of the others, the rows' digests, and then the rows
    whose digest differs. Row i is compared with row i.

    Args:
        a, b: ``FeatureStore.open(root, at=…)``; one that follows the newest versions is taken as
            it is now. They may be two stores.
        features: these only; without it, all that either has.
        variant: compare what a read under this configuration gives (``default``, or a
            variant); without it, the newest results, whatever configuration made them.
        against: compare two configurations: ``b`` is read under this one, ``a`` under ``variant``
            or ``default``. What isn't published under one of them is lacking there: a clip is
            added or removed then, whatever older results it has.

    Returns:
        One entry per feature, those without a difference too, in the order of ``features``, else
        of the configuration of ``b``.

    Raises:
        UnknownCorpus, UnknownVariant; NotPublished: neither has a feature that was asked for.
        DamagedPart: changed rows can't be read.
    """
    a, b = _settled(a), _settled(b)
    known = sorted({*a.corpora(), *b.corpora()})
    if corpus is not None and corpus not in known:
        raise UnknownCorpus(f"there is no corpus {corpus!r}{nearest(corpus, known)}")
    two = against is not None
    left, right = (variant or DEFAULT, against) if two else (variant, variant)
    with (
        Choice(a, corpus, left, features, wanted_only=two) as one,
        Choice(b, corpus, right, features, wanted_only=two) as other,
    ):
        held = one.features | other.features
        found = []
        with database() as db:
            for name in _in_order(b, held, features, right):
                db.register("a", one.of(name))
                db.register("b", other.of(name))
                db.execute(_JOIN)
                if db.execute("SELECT 1 FROM joined LIMIT 1").fetchone():
                    found.append((name, _counts(db), _rows(db, "changed")))
                elif features is not None:
                    raise NotPublished(f"neither has anything of {name!r}{_hint(a, b, name)}")
    return [_feature_diff(a, b, *entry) for entry in found]


def _settled(store: StoreReader) -> StoreReader:
    """The store at versions that stay, so that a run beside it can't tear the comparison."""
    if store.snapshot.pinned is not None:
        return store
    return StoreReader(store.location, Snapshot.settled(store.location))


def _hint(a: StoreReader, b: StoreReader, name: str) -> str:
    tables = [store.catalogue(columns=["feature"])["feature"] for store in (a, b)]
    return nearest(name, {f for table in tables for f in pc.unique(table).to_pylist()})


def _in_order(
    store: StoreReader, held: set[str], features: Sequence[str] | None, variant: str | None
) -> list[str]:
    if features is not None:
        return list(dict.fromkeys(features))
    configuration = store.wanted(None if variant == DEFAULT else variant)
    order = [node.feature for node in configuration.nodes] if configuration else []
    return [f for f in order if f in held] + sorted(held - set(order))


@dataclass(frozen=True)
class _Counts:
    """What one feature's join tells without reading a row."""

    added: tuple[Name, ...]
    removed: tuple[Name, ...]
    same: int
    rows_added: int
    rows_removed: int
    rows_compared: int


def _counts(db: duckdb.DuckDBPyConnection) -> _Counts:
    numbers = db.execute(_COUNTS).fetchall()[0]
    added, removed = _rows(db, "added"), _rows(db, "removed")
    return _Counts(_pairs(added), _pairs(removed), *(int(n or 0) for n in numbers))


def _rows(db: duckdb.DuckDBPyConnection, change: str) -> pa.Table:
    return db.execute(_ROWS, [change]).to_arrow_table()


def _feature_diff(
    a: StoreReader, b: StoreReader, feature: str, counts: _Counts, changed: pa.Table
) -> FeatureDiff:
    records = _records(a, feature, changed, "a_"), _records(b, feature, changed, "b_")
    clips = tuple(compare(a, before, b, after) for before, after in zip(*records, strict=True))
    return FeatureDiff(
        feature=feature,
        added=counts.added,
        removed=counts.removed,
        changed=clips,
        same=counts.same,
        rows_added=counts.rows_added + sum(clip.rows_added for clip in clips),
        rows_removed=counts.rows_removed + sum(clip.rows_removed for clip in clips),
        rows_compared=counts.rows_compared,
    )


def _records(store: StoreReader, feature: str, changed: pa.Table, side: str) -> list[Published]:
    """The whole catalogue rows of one side, under the name of the clip that reads them."""
    if not len(changed):
        return []
    keys = pc.unique(changed[side + "fingerprint"]).to_pylist()
    where = {"feature": feature, "fingerprint": keys}
    rows = published_records(store.snapshot["catalogue"].read(where))
    held = {(r.corpus, r.clip, r.fingerprint): r for r in rows}
    found = []
    for row in changed.to_pylist():
        source = row[side + "corpus"], row[side + "clip"], row[side + "fingerprint"]
        found.append(replace(held[source], corpus=row["corpus"], clip=row["clip"]))
    return found


def _pairs(rows: pa.Table) -> tuple[Name, ...]:
    return tuple(zip(rows["corpus"].to_pylist(), rows["clip"].to_pylist(), strict=True))


_JOIN = """
CREATE OR REPLACE TABLE joined AS
SELECT corpus, clip, a.rows AS a_rows, b.rows AS b_rows,
    a.fingerprint AS a_fingerprint, a.source_corpus AS a_corpus, a.source_clip AS a_clip,
    b.fingerprint AS b_fingerprint, b.source_corpus AS b_corpus, b.source_clip AS b_clip,
    CASE WHEN a.content IS NULL THEN 'added'
        WHEN b.content IS NULL THEN 'removed'
        WHEN a.content = b.content AND a.t0 = b.t0 AND a.step IS NOT DISTINCT FROM b.step
            THEN 'same'
        ELSE 'changed' END AS change
FROM a FULL JOIN b USING (corpus, clip)
"""
_COUNTS = """
SELECT count(*) FILTER (change = 'same'),
    sum(b_rows) FILTER (change = 'added'),
    sum(a_rows) FILTER (change = 'removed'),
    sum(least(a_rows, b_rows)) FILTER (change IN ('same', 'changed'))
FROM joined
"""
_ROWS = f"""
SELECT corpus, clip, {unpacked("a_fingerprint")} AS a_fingerprint, a_corpus, a_clip,
    {unpacked("b_fingerprint")} AS b_fingerprint, b_corpus, b_clip
FROM joined WHERE change = ? ORDER BY corpus, clip
"""
