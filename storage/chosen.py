"""One result of every clip and feature: the newest, or what a read gives, in one join."""

from __future__ import annotations

import pyarrow as pa

from storage.database import database
from storage.lookup import DEFAULT
from storage.reading import StoreReader
from storage.resolve import CATALOGUE_COLUMNS, FAILURE_COLUMNS, resolve

_COLUMNS = (*CATALOGUE_COLUMNS, "rows", "t0", "step")


def chosen(store: StoreReader, corpus: str | None = None, variant: str | None = None) -> pa.Table:
    """The newest result of every clip and feature, or what a configuration's reader gets.

    Args:
        variant: take what ``read(variant=…, stale="allow")`` gives: the result that the
            configuration wants, else the newest one. Without it the newest one counts,
            whatever configuration or ``--set`` made it. A clip that has none of its own has
            what is published for another clip with equal media.

    Returns:
        One row per clip and feature that has a result: ``corpus``, ``clip``, ``feature``,
        ``fingerprint``, ``content``, ``rows``, ``t0``, ``step``, and ``source_corpus`` and
        ``source_clip``, under which the result was published: another clip's for equal media.

    Raises:
        UnknownVariant: the store has no such configuration.
    """
    where = {} if corpus is None else {"corpus": corpus}
    clips = store.snapshot["clips"].read(where)
    catalogue = store.snapshot["catalogue"].read(columns=_COLUMNS)
    failures = store.snapshot["failures"].read(columns=FAILURE_COLUMNS)
    configuration = store.wanted(None if variant == DEFAULT else variant)
    nodes = configuration.nodes if configuration else ()
    with database() as db:
        db.register("clips", clips.select(["corpus", "clip"]))
        db.register("catalogue", catalogue)
        db.register("resolved", resolve(nodes, clips, catalogue, failures))
        db.execute("CREATE TABLE results AS SELECT *, row_number() OVER () AS id FROM catalogue")
        return db.execute(_QUERY, {"newest": variant is None}).to_arrow_table()


# of results of one time the last one counts, as in a look-up of one clip
_QUERY = """
WITH own AS (
    SELECT corpus, clip, feature, fingerprint, arg_max(id, (time, id)) AS id
    FROM results JOIN clips USING (corpus, clip) GROUP BY ALL
), anyone AS (
    SELECT feature, fingerprint, arg_max(id, (time, id)) AS id FROM results GROUP BY ALL
), newest AS (
    SELECT corpus, clip, feature, arg_max(id, (time, id)) AS id
    FROM results JOIN clips USING (corpus, clip) GROUP BY ALL
), wanted AS (
    SELECT corpus, clip, feature, fingerprint FROM resolved WHERE state = 'published'
), found AS (
    SELECT corpus, clip, feature,
        CASE WHEN $newest THEN coalesce(n.id, e.id) ELSE coalesce(o.id, e.id, n.id) END AS id
    FROM newest n
    FULL JOIN wanted w USING (corpus, clip, feature)
    LEFT JOIN own o USING (corpus, clip, feature, fingerprint)
    LEFT JOIN anyone e USING (feature, fingerprint)
)
SELECT f.corpus, f.clip, f.feature, r.fingerprint, r.content, r.rows, r.t0, r.step,
    r.corpus AS source_corpus, r.clip AS source_clip
FROM found f JOIN results r USING (id)
"""
