"""Stores whose clips and results exist in their tables only: rows are made, no media, no parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from flows.pipeline import configure, with_ancestors
from storage import FeatureStore
from storage.keys import fingerprint_sql
from storage.records import Node
from storage.schemas import CATALOGUE

#: clips per append to the catalogue
CLIPS_PER_APPEND = 100_000
CORPUS = "made"


def make_store(root: Path, count: int, nodes: Sequence[Node]) -> FeatureStore:
    """A store in which every clip has a published result of every node.

    Args:
        nodes: in topological order, closed under inputs.
    """
    store = FeatureStore.create(root)
    with duckdb.connect() as db:
        clips = db.execute(
            """SELECT printf('clip%07d', i) AS clip, printf('/nowhere/clip%07d.mp4', i) AS uri,
                sha256(i::VARCHAR) AS sha256, 1::BIGINT AS size, 1::BIGINT AS mtime_ns,
                sha256('media ' || i) AS media_key, 'present' AS state, 2.5::DOUBLE AS duration
            FROM range(?) made(i) ORDER BY i""",
            [count],
        ).to_arrow_table()
        store.upsert_clips(CORPUS, clips, complete=True)
        for start in range(0, count, CLIPS_PER_APPEND):
            rows = _rows(db, nodes, start, min(start + CLIPS_PER_APPEND, count))
            # made rows have no parts, which commit would refuse
            store.snapshot["catalogue"].append(rows)
    return store


def _rows(db: duckdb.DuckDBPyConnection, nodes: Sequence[Node], start: int, stop: int) -> pa.Table:
    """Catalogue rows of clips ``[start, stop)``, in order of clip."""
    contents = {node.feature: f"sha256('{node.feature} ' || i)" for node in nodes}
    selects = []
    for order, node in enumerate(nodes):
        inputs = sorted(node.inputs)
        key = fingerprint_sql(node, "media_key", "'{}'", [contents[f] for _, f in inputs])
        read = ", ".join(
            f"{{'slot': '{slot}', 'feature': '{f}', 'content': {contents[f]}}}"
            for slot, f in inputs
        )
        selects.append(
            f"""SELECT {order} AS place, clip, '{node.feature}' AS feature, {key} AS fingerprint,
                '{node.extractor_key}' AS extractor_key,
                {"media_key" if node.reads_media else "NULL"} AS media_key,
                [{read}]::STRUCT(slot VARCHAR, feature VARCHAR, content VARCHAR)[] AS inputs,
                {contents[node.feature]} AS content, i FROM clips"""
        )
    found = db.execute(
        f"""WITH clips AS (SELECT i, printf('clip%07d', i) AS clip,
            sha256('media ' || i) AS media_key FROM range({start}, {stop}) made(i)
        ), results AS ({" UNION ALL ".join(selects)})
        SELECT '{CORPUS}' AS corpus, clip, feature, fingerprint, extractor_key, media_key, inputs,
            content, 60::BIGINT AS rows, 1.0::DOUBLE AS valid_share, 0.0::DOUBLE AS t0,
            NULL::DOUBLE AS step,
            [{{'part': 'made', 'row_start': 64 * i, 'row_stop': 64 * i + 60}}] AS pieces,
            40320::BIGINT AS bytes, 60::BIGINT AS computed, 0::BIGINT AS reused,
            0.5::DOUBLE AS seconds, 'cpu' AS device, 'made' AS host, 'made' AS run,
            TIMESTAMPTZ '2026-01-01 00:00:00+00' AS time
        FROM results ORDER BY i, place"""
    ).to_arrow_table()
    return found.select(CATALOGUE.names).cast(CATALOGUE)


if __name__ == "__main__":
    configuration = configure({})
    wanted = with_ancestors(configuration, sys.argv[3].split(","))
    make_store(Path(sys.argv[1]), int(sys.argv[2]), wanted).save_configuration(configuration)
