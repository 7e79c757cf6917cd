"""What a configuration wants, and what of it is published: one join, no loop over clips."""

from __future__ import annotations

import json
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from features.canonical import canonical_json
from storage.keys import declared_attrs, fingerprint_sql
from storage.records import Node

#: columns that ``resolve`` reads of the tables it is given
CLIP_COLUMNS = ("corpus", "clip", "media_key", "attrs")
CATALOGUE_COLUMNS = (
    "corpus",
    "clip",
    "feature",
    "fingerprint",
    "extractor_key",
    "media_key",
    "content",
    "time",
)
FAILURE_COLUMNS = ("corpus", "clip", "feature", "fingerprint")

RESOLVED = pa.schema(
    [
        ("corpus", pa.string()),
        ("clip", pa.string()),
        ("feature", pa.string()),
        ("state", pa.string()),
        ("fingerprint", pa.string()),
        ("content", pa.string()),
        ("own", pa.bool_()),
        ("previous_fingerprint", pa.string()),
        ("previous_extractor_key", pa.string()),
        ("previous_media_key", pa.string()),
    ]
)


def resolve(
    nodes: Sequence[Node],
    clips: pa.Table,
    catalogue: pa.Table,
    failures: pa.Table,
) -> pa.Table:
    """The state of every (clip, feature) of a configuration.

    Args:
        nodes: in topological order, closed under inputs (labels and features that no node
            makes count as published by their newest catalogue row).
        clips, catalogue, failures: tables with at least the columns named above.

    Returns:
        A table with the schema ``RESOLVED``, one row per clip and node:

        - ``state``: ``published``, ``stale`` (only other fingerprints exist), ``missing`` or
          ``quarantined`` (itself, or something it reads, failed with this very key).
        - ``fingerprint``: the wanted one; null where an input isn't published yet, so that
          nobody can know it: a plan calls those ``maybe``.
        - ``content``: of the published result; ``own``: it was published for this clip and not
          for another one with the same media.
        - ``previous_*``: of the clip's newest result of that feature, whatever its key.
    """
    with duckdb.connect() as db:
        db.register("clips_in", _columns(clips, CLIP_COLUMNS))
        db.register("catalogue_in", _columns(catalogue, CATALOGUE_COLUMNS))
        db.register("failures_in", _columns(failures, FAILURE_COLUMNS))
        db.execute("CREATE TABLE clips AS SELECT *, row_number() OVER () AS id FROM clips_in")
        db.execute(
            """CREATE TABLE results AS
            SELECT c.id, r.* FROM catalogue_in r LEFT JOIN clips c USING (corpus, clip)"""
        )
        known = {node.feature for node in nodes}
        for node in nodes:
            for _, feature in node.inputs:
                if feature not in known:
                    _create_unbound(db, feature)
                    known.add(feature)
        tables = [_create_state(db, node) for node in nodes]
        if not tables:
            return RESOLVED.empty_table()
        query = " UNION ALL ".join(
            f"""SELECT c.corpus, c.clip, {_quote(node.feature)} AS feature, s.state,
                s.fingerprint, s.content, s.own, s.previous_fingerprint,
                s.previous_extractor_key, s.previous_media_key
            FROM {table} s JOIN clips c USING (id)"""
            for node, table in zip(nodes, tables, strict=True)
        )
        return db.execute(query).to_arrow_table().cast(RESOLVED)


def _create_state(db: duckdb.DuckDBPyConnection, node: Node) -> str:
    """Make the table of one node's states; its name."""
    name, table = _quote(node.feature), _table(node.feature)
    inputs = sorted(node.inputs)
    attrs = _attrs_table(db, node)
    key = fingerprint_sql(
        node, "c.media_key", "a.canonical", [f"u{i}.content" for i in range(len(inputs))]
    )
    joins = " ".join(
        f"LEFT JOIN {_table(feature)} u{i} ON u{i}.id = c.id"
        for i, (_, feature) in enumerate(inputs)
    )
    blocked = " OR ".join(f"u{i}.state = 'quarantined'" for i in range(len(inputs))) or "false"
    db.execute(
        f"""CREATE TABLE {table} AS
        WITH wanted AS (
            SELECT c.id, c.corpus, c.clip, {key} AS fingerprint,
                coalesce({blocked}, false) AS blocked
            FROM clips c JOIN {attrs} a ON a.attrs IS NOT DISTINCT FROM c.attrs {joins}
        ), mine AS (SELECT * FROM results WHERE feature = {name}
        ), own AS (
            SELECT id, fingerprint, arg_max(content, time) AS content
            FROM mine WHERE id IS NOT NULL GROUP BY ALL
        ), anyone AS (
            SELECT fingerprint, arg_max(content, time) AS content FROM mine GROUP BY ALL
        ), newest AS (
            SELECT id, arg_max(fingerprint, time) AS previous_fingerprint,
                arg_max(extractor_key, time) AS previous_extractor_key,
                arg_max(coalesce(media_key, ''), time) AS previous_media_key
            FROM mine WHERE id IS NOT NULL GROUP BY ALL
        ), failed AS (
            SELECT DISTINCT corpus, clip, fingerprint FROM failures_in WHERE feature = {name}
        )
        SELECT w.id, w.fingerprint, coalesce(o.content, e.content) AS content,
            o.content IS NOT NULL AS own,
            CASE WHEN coalesce(o.content, e.content) IS NOT NULL THEN 'published'
                WHEN f.fingerprint IS NOT NULL OR w.blocked THEN 'quarantined'
                WHEN n.id IS NOT NULL THEN 'stale'
                ELSE 'missing' END AS state,
            n.previous_fingerprint, n.previous_extractor_key,
            nullif(n.previous_media_key, '') AS previous_media_key
        FROM wanted w
        LEFT JOIN own o ON o.id = w.id AND o.fingerprint = w.fingerprint
        LEFT JOIN anyone e ON e.fingerprint = w.fingerprint
        LEFT JOIN newest n ON n.id = w.id
        LEFT JOIN failed f ON f.corpus = w.corpus AND f.clip = w.clip
            AND f.fingerprint = w.fingerprint"""
    )
    return table


def _create_unbound(db: duckdb.DuckDBPyConnection, feature: str) -> None:
    """A feature that no node makes: its newest row counts, whatever its key."""
    db.execute(
        f"""CREATE TABLE {_table(feature)} AS
        SELECT id, arg_max(content, time) AS content, 'published' AS state
        FROM results WHERE feature = {_quote(feature)} AND id IS NOT NULL GROUP BY id"""
    )


def _attrs_table(db: duckdb.DuckDBPyConnection, node: Node) -> str:
    """Map each distinct attribute text to the canonical JSON of what the node declares."""
    name = _table("attrs " + node.feature)
    texts = [row[0] for row in db.execute("SELECT DISTINCT attrs FROM clips").fetchall()]
    rows = {
        "attrs": pa.array(texts, pa.string()),
        "canonical": pa.array(
            [canonical_json(declared_attrs(node, json.loads(t) if t else {})) for t in texts],
            pa.string(),
        ),
    }
    db.register("attrs_in", pa.table(rows))
    db.execute(f"CREATE TABLE {name} AS SELECT * FROM attrs_in")
    db.unregister("attrs_in")
    return name


def _columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    return table.select(list(names))


def _table(feature: str) -> str:
    return '"state ' + feature.replace('"', '""') + '"'


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
