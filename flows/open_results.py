"""What a plan finds unpublished, as numbers of clips, and why each result would be computed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.reasons import DAMAGED, NEW_CLIP, NEW_FEATURE, reason
from storage.records import Configuration, Node
from storage.repair import PREFIX as DAMAGED_PREFIX
from storage.resolve import Catalogue, Resolution, batches, packed

#: of the catalogue, for the reasons
PREVIOUS_COLUMNS = ("corpus", "clip", "feature", "extractor_key", "media_key", "time")

#: each more than any time in microseconds since 1970, and the first more than the second
SAME_EXTRACTOR, SAME_BINDING = 1 << 61, 1 << 60
#: what an older result was made of: this medium, another one, or another cut of the same file
MOVED, CUT, MOVES = 1, 2, 3

_TEXTS = pa.dictionary(pa.int32(), pa.string())
TODO = pa.schema(
    [
        ("corpus", _TEXTS),
        ("clip", _TEXTS),
        ("feature", _TEXTS),
        ("certain", pa.bool_()),
        ("reason", _TEXTS),
    ]
)


@dataclass
class Open:
    """One feature's open results; arrays of one length, in order of clip.

    Attributes:
        ids: numbers of the clips.
        certain: what it reads is published, so that it certainly runs.
        stale: the clip has an older result; damaged: it had one that was withdrawn.
        why: number in ``reasons``; -1 where it isn't certain.
    """

    node: Node
    ids: NDArray[np.int32]
    certain: NDArray[np.bool_]
    stale: NDArray[np.bool_]
    damaged: NDArray[np.bool_]
    why: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    reasons: list[str] = field(default_factory=list)

    def table(self, clips: pa.Table) -> pa.Table:
        """The rows with the schema ``TODO``; each text is kept once."""
        ids = pa.array(self.ids)
        one = pa.array(np.zeros(len(ids), np.int32))
        why = pa.array(self.why, mask=self.why < 0)
        columns = [
            clips["corpus"].combine_chunks().dictionary_encode().take(ids),
            pa.DictionaryArray.from_arrays(ids, clips["clip"].combine_chunks()),
            pa.DictionaryArray.from_arrays(one, pa.array([self.node.feature], pa.string())),
            pa.array(self.certain),
            pa.DictionaryArray.from_arrays(why, pa.array(self.reasons, pa.string())),
        ]
        return pa.table(columns, schema=TODO)


class OpenResults:
    """Collects a resolution's open results feature by feature, then finds their reasons."""

    def __init__(
        self,
        resolution: Resolution,
        configuration: Configuration,
        failures: pa.Table,
        clips: pa.Table,
    ) -> None:
        """``clips``: those of the resolution, perhaps with ``earlier_cuts``."""
        self._resolution, self._db = resolution, resolution.db
        self._ours = [resolution.codes[node.feature] for node in configuration.nodes]
        self._db.register("withdrawn_in", _withdrawn(failures))
        self._db.execute(
            f"""CREATE TABLE withdrawn AS
            SELECT DISTINCT c.id, f.code AS feature, {packed("x.fingerprint")} AS fingerprint
            FROM withdrawn_in x JOIN codes f USING (feature) JOIN clips c USING (corpus, clip)"""
        )
        self._db.register("cuts", _cuts(clips))
        self.found: list[Open] = []

    def add(self, node: Node) -> None:
        """Keep what is open of the node that the resolution is at."""
        rows = self._db.execute(
            f"""SELECT s.id, s.fingerprint IS NOT NULL AS certain, s.state = 'stale' AS stale,
                w.id IS NOT NULL AS damaged
            FROM state s LEFT JOIN withdrawn w ON w.feature = {self._resolution.codes[node.feature]}
                AND w.id = s.id AND w.fingerprint = s.fingerprint
            WHERE s.state IN ('stale', 'missing') ORDER BY s.id"""
        ).fetchnumpy()
        if len(rows["id"]):
            certain, stale, damaged = (
                np.asarray(rows[name], bool) for name in ("certain", "stale", "damaged")
            )
            ids = np.asarray(rows["id"], np.int32)
            self.found.append(Open(node, ids, certain, stale, damaged))

    def leave_out(self, node: Node, clips: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Drop what was added last, if it is the node's, of these clips; which of them it was of.

        Args:
            clips: bool ``(clips,)``.
        """
        dropped = np.zeros(len(clips), bool)
        if self.found and self.found[-1].node is node:
            entry = self.found.pop()
            out = clips[entry.ids]
            dropped[entry.ids[out]] = True
            if not out.all():
                certain, stale = entry.certain[~out], entry.stale[~out]
                left = Open(node, entry.ids[~out], certain, stale, entry.damaged[~out])
                self.found.append(left)
        return dropped

    def explain(self, catalogue: Catalogue, earlier: Mapping[str, Node]) -> None:
        """Find the reasons of all that was added: at most one more look at the catalogue.

        Args:
            earlier: extractor key -> node, of all configurations that ever ran.
        """
        keys = {*earlier, *(entry.node.extractor_key for entry in self.found)}
        known = sorted(keys)
        previous, bindings = self._previous(catalogue, known)
        published = self._published()
        for entry in self.found:
            code = self._resolution.codes[entry.node.feature]
            kinds = np.full(len(entry.ids), -1, np.int64)
            if code in previous:
                kinds = previous[code][entry.ids]
            kinds[~entry.stale] = np.where(published[entry.ids[~entry.stale]], -3, -4)
            kinds[entry.damaged] = -2
            entry.why = np.full(len(entry.ids), -1, np.int32)
            sure = np.flatnonzero(entry.certain)
            each, places = np.unique(kinds[sure], return_inverse=True)
            texts = [self._reason(entry.node, int(k), known, bindings, earlier) for k in each]
            entry.reasons = list(dict.fromkeys(texts))
            numbers = np.array([entry.reasons.index(t) for t in texts], np.int32)
            entry.why[sure] = numbers[places]

    def _reason(
        self,
        node: Node,
        kind: int,
        known: Sequence[str],
        bindings: Sequence[str],
        earlier: Mapping[str, Node],
    ) -> str:
        fresh = {-2: DAMAGED, -3: NEW_FEATURE, -4: NEW_CLIP}.get(kind, "")
        if fresh:
            return fresh
        rest, bound = divmod(kind, max(1, len(bindings)))
        key, moved = divmod(rest, MOVES)
        return reason(
            node,
            known[key] if key < len(known) else "",
            media_changed=moved == MOVED and node.reads_media,
            cut_changed=moved == CUT and node.reads_media,
            fresh="",
            earlier=earlier,
            read=dict(json.loads(bindings[bound])) if bindings else {},
        )

    def _previous(
        self, catalogue: Catalogue, known: Sequence[str]
    ) -> tuple[dict[int, NDArray[np.int64]], list[str]]:
        """Of each feature's number, per clip: what an older result was made by and of.

        The newest one of the same extractor as now, if possible also bound as now, which tells
        what else changed; without such a one, the newest one.

        Returns:
            ``(MOVES * key + moved) * bindings + binding``, with the numbers of the extractor key
            in ``known`` and of the binding, and ``moved``: 0, ``MOVED`` if it was of other media,
            ``CUT`` if of another cut of the file; and the bindings, as ``_bound`` writes them.
        """
        asked = [e.node for e in self.found if (e.certain & e.stale & ~e.damaged).any()]
        if not asked:
            return {}, []
        stale = {
            "feature": [node.feature for node in asked],
            "wanted": [node.extractor_key for node in asked],
            "bound": [_bound(node) for node in asked],
        }
        texts = {name: pa.array(column, pa.string()) for name, column in stale.items()}
        self._db.register("stale", pa.table(texts))
        self._db.register(
            "keys",
            pa.table(
                {
                    "extractor_key": pa.array(known, pa.string()),
                    "number": pa.array(range(len(known)), pa.int16()),
                }
            ),
        )
        # slots and features are most of what a row of the catalogue has: not read in vain
        bindable = any(node.inputs for node in asked)
        columns = (*PREVIOUS_COLUMNS, *(("inputs",) if bindable else ()))
        rows = batches(catalogue, {"feature": stale["feature"]}, columns)
        self._db.register("previous_in", rows)
        newest = self._db.execute(
            f"""SELECT f.code, c.id, arg_max(coalesce(k.number, {len(known)}), r.rank) AS key,
                arg_max(CASE WHEN x.id IS NOT NULL THEN {CUT}
                    WHEN coalesce(r.media_key <> c.media_key, false) THEN {MOVED} ELSE 0 END,
                    r.rank) AS moved,
                arg_max(r.read, r.rank) AS bound
            FROM (SELECT *, epoch_us(time)
                + CASE WHEN extractor_key = wanted THEN {SAME_EXTRACTOR} ELSE 0 END
                + CASE WHEN read = bound THEN {SAME_BINDING} ELSE 0 END AS rank
                FROM (SELECT *, {_BOUND if bindable else "'[]'"} AS read FROM previous_in)
                JOIN stale USING (feature)) r
            JOIN codes f USING (feature)
            JOIN clips c USING (corpus, clip) LEFT JOIN keys k USING (extractor_key)
            LEFT JOIN cuts x ON x.id = c.id AND x.media_key = r.media_key
            GROUP BY f.code, c.id"""
        ).to_arrow_table()
        self._db.unregister("previous_in")
        bound = newest["bound"].combine_chunks().dictionary_encode()
        bindings = bound.dictionary.to_pylist()
        codes, ids, key, moved, number = (
            np.asarray(column, np.int64)
            for column in (*(newest[n] for n in ("code", "id", "key", "moved")), bound.indices)
        )
        found = {}
        for code in np.unique(codes):
            own = codes == code
            kinds = np.full(self._resolution.clips, MOVES * len(known) * len(bindings), np.int64)
            kinds[ids[own]] = (MOVES * key[own] + moved[own]) * len(bindings) + number[own]
            found[int(code)] = kinds
        return found, bindings

    def _published(self) -> NDArray[np.bool_]:
        """Per clip: it has a result of any feature that the configuration makes."""
        found = np.zeros(self._resolution.clips, bool)
        if any((e.certain & ~e.stale).any() for e in self.found):
            ids = self._db.execute(
                "SELECT DISTINCT id FROM results WHERE id IS NOT NULL AND feature IN "
                f"({', '.join(map(str, self._ours))})"
            ).fetchnumpy()["id"]
            found[np.asarray(ids)] = True
        return found


#: of a catalogue row, as ``_bound`` writes it
_BOUND = "coalesce(to_json([[i.slot, i.feature] for i in list_sort(inputs)])::VARCHAR, '[]')"


def _bound(node: Node) -> str:
    """Slots in order, each with the feature that fills it: ``[["light","level"]]``."""
    return json.dumps(sorted(node.inputs), separators=(",", ":"), ensure_ascii=False)


def _cuts(clips: pa.Table) -> pa.Table:
    """Number of a clip and media key of an earlier cut of its file, a row for each."""
    cuts = pa.nulls(len(clips), pa.list_(pa.string()))
    if "earlier_cuts" in clips.column_names:
        cuts = clips["earlier_cuts"].combine_chunks()
    ids = pc.list_parent_indices(cuts).cast(pa.int32())
    return pa.table({"id": ids, "media_key": pc.list_flatten(cuts)})


def _withdrawn(failures: pa.Table) -> pa.Table:
    """Corpus, clip, feature and fingerprint of results that ``repair`` withdrew."""
    rows = failures.select(["corpus", "clip", "feature", "fingerprint"])
    rows = rows.filter(pc.starts_with(rows["fingerprint"], DAMAGED_PREFIX))
    keys = pc.utf8_slice_codeunits(rows["fingerprint"], len(DAMAGED_PREFIX))
    return rows.set_column(3, "fingerprint", keys)
