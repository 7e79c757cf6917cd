"""What a store holds, per corpus and feature, and what one clip holds."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow.compute as pc

from flows.backoff import due
from flows.pipeline import configure
from flows.run import merged_settings
from storage import Configuration, FeatureStore
from storage.clips import FORGOTTEN
from storage.database import database
from storage.resolve import resolve

STATES = ("published", "stale", "missing", "quarantined")


def status(store: FeatureStore) -> dict[str, Any]:
    """Counts per corpus and feature, under the store's default configuration.

    Of a store that is open at an earlier point, the configuration of then counts as it was kept,
    and not today's extractors.

    Returns:
        ``{"corpora": {NAME: {"clips": n, "features": {F: {"published", "stale", "missing",
        "quarantined", "rows", "bytes"}}}}}``; rows and bytes are those of the published
        results. Features that no extractor makes (labels) are counted as published.
    """
    configuration = _configuration(store)
    clips, catalogue = store.clips(), store.catalogue()
    clips = clips.filter(pc.field("state") != FORGOTTEN)
    made = {n.feature for n in configuration.nodes}
    corpora: dict[str, Any] = {}
    with database() as db:
        db.register("clips", clips)
        db.register("catalogue", catalogue)
        db.register("resolved", resolve(configuration.nodes, clips, catalogue, store.failures()))
        for corpus, count in db.execute(
            "SELECT corpus, count(*) FROM clips GROUP BY corpus ORDER BY corpus"
        ).fetchall():
            corpora[corpus] = {
                "clips": count,
                "features": defaultdict(lambda: dict.fromkeys((*STATES, "rows", "bytes"), 0)),
            }
        for corpus, feature, state, n in db.execute(
            "SELECT corpus, feature, state, count(*) FROM resolved GROUP BY ALL"
        ).fetchall():
            corpora[corpus]["features"][feature][state] = n
        for corpus, feature, rows, size in db.execute(
            """SELECT r.corpus, r.feature, sum(c.rows), sum(c.bytes) FROM resolved r
            JOIN (SELECT fingerprint, arg_max(rows, time) AS rows, arg_max(bytes, time) AS bytes
                FROM catalogue GROUP BY fingerprint) c USING (fingerprint)
            WHERE r.state = 'published' GROUP BY ALL"""
        ).fetchall():
            corpora[corpus]["features"][feature] |= {"rows": int(rows), "bytes": int(size)}
        for corpus, feature, n, rows, size in db.execute(
            """SELECT corpus, feature, count(*), sum(rows), sum(bytes) FROM (
                SELECT corpus, clip, feature, arg_max(r.rows, r.time) AS rows,
                    arg_max(r.bytes, r.time) AS bytes
                FROM catalogue r JOIN clips c USING (corpus, clip) GROUP BY ALL)
            GROUP BY ALL"""
        ).fetchall():
            if feature not in made:
                entry = corpora[corpus]["features"][feature]
                entry |= {"published": n, "rows": int(rows), "bytes": int(size)}
    order = {name: i for i, name in enumerate(n.feature for n in configuration.nodes)}
    for entry in corpora.values():
        entry["features"] = dict(
            sorted(entry["features"].items(), key=lambda kv: (order.get(kv[0], 999), kv[0]))
        )
    return {"corpora": corpora}


def inspect(store: FeatureStore, clip: str, corpus: str | None = None) -> dict[str, Any]:
    """All facts of one clip: media, timeline, features with shape, validity and provenance.

    Raises:
        UnknownClip: with the nearest name.
    """
    row = store.clip(clip, corpus)
    features: dict[str, Any] = {}
    frames: int | None = None
    nodes = store.earlier_nodes()
    for published in store.current(clip, row["corpus"]):
        info = store.part_info(published)
        node = nodes.get(published.extractor_key)
        features[published.feature] = {
            "shape": [published.rows, *info["dims"]],
            "ragged": info["ragged"],
            "dtype": info["dtype"],
            "rate": info["rate"],
            "valid_share": published.valid_share,
            "t0": published.t0,
            "step": published.step,
            "fingerprint": published.fingerprint,
            "content": published.content,
            "extractor": None if node is None else f"{node.extractor} {node.version}",
            "params": {} if node is None else node.params,
            "inputs": {slot: f for slot, (f, _) in published.inputs.items()},
            "rows_computed": published.computed,
            "rows_reused": published.reused,
            "seconds": round(published.seconds, 3),
            "run": published.run,
            "time": published.time.isoformat(),
        }
        if published.feature == "timeline":
            frames = published.rows
    first = last = None
    if frames:
        times = store.read(clip, "timeline", corpus=row["corpus"], stale="allow").values
        first, last = float(times[0]), float(times[-1])
    return {
        "corpus": row["corpus"],
        "clip": clip,
        "uri": row["uri"],
        "state": row["state"],
        "problem": row["problem"],
        "duration": row["duration"],
        "frames": frames,
        "first_time": first,
        "last_time": last,
        "video": None
        if row["video_codec"] is None
        else {k: row[k] for k in ("video_codec", "width", "height", "fps")},
        "audio": None
        if row["audio_codec"] is None
        else {k: row[k] for k in ("audio_codec", "audio_rate", "audio_channels")},
        "subject": row["subject"],
        "split": row["split"],
        "labels": {k[6:]: v for k, v in row.items() if k.startswith("label.") and v is not None},
        "media_sha256": row["sha256"],
        "features": features,
    }


def quarantine(store: FeatureStore, corpus: str | None = None) -> list[dict[str, Any]]:
    """What is in quarantine now: the newest failure of every result that isn't published since.

    Returns:
        Dicts with clip, corpus, feature, code, message, attempts, log, run, time and ``again``:
        from when on an extract tries by itself, None if only retry does.
    """
    configuration = _configuration(store)
    clips, failed = store.clips(corpus), store.failures()
    with database() as db:
        db.register("failed", failed)
        resolved = resolve(configuration.nodes, clips, store.catalogue(), failed)
        db.register("resolved", resolved)
        rows = db.execute(
            """SELECT f.corpus, f.clip, f.feature, f.code, f.message,
                max(f.attempts) OVER (PARTITION BY f.corpus, f.clip, f.feature, f.fingerprint)
                    AS attempts, f.log, f.run, f.time
            FROM failed f JOIN resolved r USING (corpus, clip, feature, fingerprint)
            WHERE r.state = 'quarantined'
            QUALIFY row_number() OVER (
                PARTITION BY f.corpus, f.clip, f.feature ORDER BY f.time DESC) = 1
            ORDER BY f.corpus, f.clip, f.feature"""
        )
        names = [d[0] for d in rows.description]
        found = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return [f | {"again": due(f["code"], f["attempts"], f["time"])} for f in found]


def _configuration(store: FeatureStore) -> Configuration:
    kept = store.configuration() if store.snapshot.pinned is not None else None
    return kept or configure(merged_settings(store, {}))
