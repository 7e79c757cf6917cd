"""What differs between the results at two points of a store's history, or in two stores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalogue import published_records
from storage.chosen import chosen
from storage.clips import nearest
from storage.compare import ClipDiff, Size, compare
from storage.database import database
from storage.errors import NotPublished, UnknownCorpus
from storage.lookup import DEFAULT
from storage.reading import StoreReader
from storage.records import Published
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
    tables = [chosen(store, corpus, variant) for store in (a, b)]
    with database() as db:
        db.register("a", tables[0])
        db.register("b", tables[1])
        joined = db.execute(_QUERY).to_arrow_table()
    names = _names(b, joined, features, variant)
    joined = joined.filter(pc.is_in(joined["feature"], pa.array(names, pa.string())))
    changed = joined.filter(pc.equal(joined["change"], "changed"))
    records = _records(a, changed, "a_"), _records(b, changed, "b_")
    clips: dict[str, list[ClipDiff]] = defaultdict(list)
    for before, after in zip(*records, strict=True):
        clips[after.feature].append(compare(a, before, b, after))
    return [_feature_diff(name, joined, clips[name]) for name in names]


def _settled(store: StoreReader) -> StoreReader:
    """The store at versions that stay, so that a run beside it can't tear the comparison."""
    if store.snapshot.pinned is not None:
        return store
    return StoreReader(store.location, Snapshot.settled(store.location))


def _names(
    store: StoreReader, joined: pa.Table, features: Sequence[str] | None, variant: str | None
) -> list[str]:
    held = set(pc.unique(joined["feature"]).to_pylist())
    for name in features or ():
        if name not in held:
            raise NotPublished(f"neither has anything of {name!r}{nearest(name, held)}")
    if features is not None:
        return list(dict.fromkeys(features))
    configuration = store.wanted(None if variant == DEFAULT else variant)
    order = [node.feature for node in configuration.nodes] if configuration else []
    return [f for f in order if f in held] + sorted(held - set(order))


def _records(store: StoreReader, changed: pa.Table, side: str) -> list[Published]:
    """The whole catalogue rows of one side, under the name of the clip that reads them."""
    if not len(changed):
        return []
    keys = pc.unique(changed[side + "fingerprint"]).to_pylist()
    rows = published_records(store.snapshot["catalogue"].read({"fingerprint": keys}))
    held = {(r.corpus, r.clip, r.feature, r.fingerprint): r for r in rows}
    found = []
    for row in changed.to_pylist():
        source = row[side + "corpus"], row[side + "clip"]
        record = held[*source, row["feature"], row[side + "fingerprint"]]
        found.append(replace(record, corpus=row["corpus"], clip=row["clip"]))
    return found


def _feature_diff(feature: str, joined: pa.Table, clips: Sequence[ClipDiff]) -> FeatureDiff:
    own = joined.filter(pc.equal(joined["feature"], feature))
    added = own.filter(pc.equal(own["change"], "added"))
    removed = own.filter(pc.equal(own["change"], "removed"))
    both = own.filter(pc.is_in(own["change"], pa.array(["same", "changed"])))
    return FeatureDiff(
        feature=feature,
        added=_pairs(added),
        removed=_pairs(removed),
        changed=tuple(clips),
        same=len(both) - len(clips),
        rows_added=_sum(added["b_rows"]) + sum(clip.rows_added for clip in clips),
        rows_removed=_sum(removed["a_rows"]) + sum(clip.rows_removed for clip in clips),
        rows_compared=_sum(pc.min_element_wise(both["a_rows"], both["b_rows"])),
    )


def _pairs(rows: pa.Table) -> tuple[Name, ...]:
    return tuple(zip(rows["corpus"].to_pylist(), rows["clip"].to_pylist(), strict=True))


def _sum(numbers: pa.ChunkedArray) -> int:
    return int(pc.sum(numbers).as_py() or 0)


_QUERY = """
SELECT corpus, clip, feature, a.rows AS a_rows, b.rows AS b_rows,
    a.fingerprint AS a_fingerprint, a.source_corpus AS a_corpus, a.source_clip AS a_clip,
    b.fingerprint AS b_fingerprint, b.source_corpus AS b_corpus, b.source_clip AS b_clip,
    CASE WHEN a.content IS NULL THEN 'added'
        WHEN b.content IS NULL THEN 'removed'
        WHEN a.content = b.content AND a.t0 = b.t0 AND a.step IS NOT DISTINCT FROM b.step
            THEN 'same'
        ELSE 'changed' END AS change
FROM a FULL JOIN b USING (corpus, clip, feature)
ORDER BY corpus, clip, feature
"""
