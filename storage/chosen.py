"""One result of every clip, feature by feature: the newest, or what a read gives."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import pyarrow as pa
import pyarrow.compute as pc

from storage.lookup import DEFAULT
from storage.reading import StoreReader
from storage.records import Node
from storage.resolve import CLIP_COLUMNS, FAILURE_COLUMNS, Resolution, closure

_KEPT = ("content", "corpus", "clip", "rows", "t0", "step")


class Choice(AbstractContextManager["Choice"]):
    """Chooses of each clip's results of a feature the newest, or what a reader gets.

    The catalogue is read once, as a stream; see ``Resolution`` for what is kept of it.

    Attributes:
        features: those that have any result in the store, and are asked for.
    """

    def __init__(
        self,
        store: StoreReader,
        corpus: str | None = None,
        variant: str | None = None,
        features: Sequence[str] | None = None,
        wanted_only: bool = False,
    ) -> None:
        """
        Args:
            corpus: of this one's clips only.
            variant: take what ``read(variant=…, stale="allow")`` gives: the result that the
                configuration wants, else the newest one. Without it the newest one counts,
                whatever configuration or ``--set`` made it. A clip that has none of its own has
                what is published for another clip with equal media.
            features: these only.
            wanted_only: of what the variant makes, a result that it doesn't want counts for
                nothing: the clip has none then.

        Raises:
            UnknownVariant: the store has no such configuration.
        """
        where = {} if corpus is None else {"corpus": corpus}
        clips = store.snapshot["clips"].read(where, CLIP_COLUMNS)
        catalogue = store.snapshot["catalogue"].fixed()
        held = set(pc.unique(catalogue.read(columns=["feature"])["feature"]).to_pylist())
        self.features = held if features is None else held & set(features)
        configuration = store.wanted(None if variant == DEFAULT else variant)
        nodes = closure(configuration.nodes if configuration else (), sorted(self.features))
        self._newest = variant is None
        self._wanted_only = {node.feature for node in nodes} if wanted_only else set[str]()
        self._resolution = Resolution(
            nodes,
            clips,
            catalogue.batches,
            store.failures(columns=FAILURE_COLUMNS),
            also=sorted(self.features),
            keep=_KEPT,
            all_keys=False,
        )
        self._db = self._resolution.db
        self._db.execute("CREATE TABLE wanted (feature SMALLINT, id INTEGER, fingerprint BLOB)")
        try:
            for node in self._resolution.states(self._open(nodes, clips)):
                code = self._resolution.codes[node.feature]
                self._db.execute(_WANTED, {"code": code, "newest": self._newest})
        except BaseException:
            self._db.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def of(self, feature: str) -> pa.Table:
        """One row per clip that has a result of the feature.

        Returns:
            ``corpus``, ``clip``, ``fingerprint`` and ``content`` as ``Resolution`` packs them,
            ``rows``, ``t0``, ``step``, and ``source_corpus`` and ``source_clip``, under which
            the result was published: another clip's for equal media.
        """
        return self._db.execute(_CHOSEN, self._asked(feature)).to_arrow_table()

    def newer(self, feature: str) -> int:
        """Clips whose newest result of a feature has other rows or times than the wanted one."""
        ((count,),) = self._db.execute(_NEWER, self._asked(feature)).fetchall()
        return int(count)

    def _asked(self, feature: str) -> dict[str, object]:
        return {
            "code": self._resolution.codes.get(feature, -1),
            "newest": self._newest,
            "wanted_only": feature in self._wanted_only,
        }

    def _open(self, nodes: Sequence[Node], clips: pa.Table) -> list[Node]:
        """The nodes whose wanted results count: where the newest do, those that a clip lacks."""
        if not self._newest:
            return list(nodes)
        there = len(clips) - clips["media_key"].null_count
        counts = self._db.execute(
            "SELECT feature, count(DISTINCT id) FROM results GROUP BY feature"
        )
        whole = {code for code, count in counts.fetchall() if count >= there}
        codes = self._resolution.codes
        return closure(nodes, [f for f in sorted(self.features) if codes[f] not in whole])


def passed_over(
    store: StoreReader, corpus: str | None = None, features: Sequence[str] | None = None
) -> dict[str, int]:
    """Feature -> clips of which the newest result isn't what a read gives; none are left out.

    A run with settings of its own or a variant made it, or one before the default configuration,
    or the medium, went back to what it had been earlier.
    """
    names = store.catalogue(corpus, features=features, columns=_NAMES)
    if len(names) == len(names.group_by([*_NAMES]).aggregate([])):
        # nothing was ever made anew
        return {}
    with Choice(store, corpus, DEFAULT, features) as choice:
        counts = {feature: choice.newer(feature) for feature in sorted(choice.features)}
    return {feature: count for feature, count in counts.items() if count}


_NAMES = ("corpus", "clip", "feature")
_WANTED = """
INSERT INTO wanted SELECT $code, id, fingerprint FROM state
WHERE state = 'published' AND NOT (own AND $newest)
"""
# of results of one time the last one counts, as in a look-up of one clip
_FOUND = """
WITH mine AS MATERIALIZED (
    SELECT rowid AS place, * FROM results WHERE feature = $code
), newest AS (
    SELECT id, arg_max(place, (time, place)) AS place
    FROM mine WHERE id IS NOT NULL GROUP BY id
), asked AS (
    SELECT id, fingerprint FROM wanted WHERE feature = $code
), own AS (
    SELECT id, arg_max(place, (time, place)) AS place
    FROM mine JOIN asked USING (id, fingerprint) GROUP BY id
), anyone AS (
    SELECT fingerprint, arg_max(place, (time, place)) AS place
    FROM mine SEMI JOIN asked USING (fingerprint) GROUP BY fingerprint
), found AS (
    SELECT id, n.place AS newest, coalesce(o.place, e.place) AS wanted,
        CASE WHEN $newest THEN coalesce(n.place, e.place)
        WHEN $wanted_only THEN coalesce(o.place, e.place)
        ELSE coalesce(o.place, e.place, n.place) END AS place
    FROM newest n FULL JOIN asked a USING (id)
    LEFT JOIN own o USING (id) LEFT JOIN anyone e USING (fingerprint)
)
"""
_CHOSEN = f"""{_FOUND}
SELECT c.corpus, c.clip, m.fingerprint, m.content, m.rows, m.t0, m.step,
    m.corpus AS source_corpus, m.clip AS source_clip
FROM found f JOIN mine m USING (place) JOIN clips c ON c.id = f.id
"""
_NEWER = f"""{_FOUND}
SELECT count(*) FROM found f JOIN mine n ON n.place = f.newest JOIN mine w ON w.place = f.wanted
WHERE n.content <> w.content OR n.t0 <> w.t0 OR n.step IS DISTINCT FROM w.step
"""
