"""What a store holds, per corpus and feature, and what one clip holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from flows.configured import DEFAULT, configured
from storage import Configuration, FeatureStore
from storage.clips import FORGOTTEN, listed
from storage.records import Node, Published
from storage.resolve import CLIP_COLUMNS, FAILURE_COLUMNS, Resolution

STATES = ("published", "stale", "missing", "quarantined")


def status(store: FeatureStore, variant: str | None = None) -> dict[str, Any]:
    """Counts per corpus and feature under a configuration, the store's default one if None.

    Of a store that is open at an earlier point, the configuration of then counts as it was kept,
    and not today's extractors.

    Returns:
        ``{"corpora": {NAME: {"clips": n, "unlisted": n, "features": {F: {"published", "stale",
        "missing", "quarantined", "rows", "bytes"}}}}}``; rows and bytes are those of the published
        results. Features that no extractor makes (labels) are counted as published. Of clips that
        the corpus's last ingest didn't list only the number is told.

    Raises:
        UnknownVariant: the store has no such configuration.
    """
    configuration = _configuration(store, variant)
    every = store.clips(columns=(*CLIP_COLUMNS, "state", "problem"))
    names = sorted(pc.unique(every["corpus"]).to_pylist())
    clips = listed(every)
    counts = Counter(clips["corpus"].to_pylist())
    left = Counter(every.filter(pc.field("state") != FORGOTTEN)["corpus"].to_pylist()) - counts
    catalogue = store.snapshot["catalogue"].fixed()
    held = set(pc.unique(catalogue.read(columns=["feature"])["feature"]).to_pylist())
    others = sorted(held - {n.feature for n in configuration.nodes})
    corpora: dict[str, Any] = {
        name: {
            "clips": counts[name],
            "unlisted": left[name],
            "features": defaultdict(_nothing),
        }
        for name in names
    }
    with Resolution(
        configuration.nodes,
        clips,
        catalogue.batches,
        store.failures(columns=FAILURE_COLUMNS),
        also=others,
        keep=("rows", "bytes"),
        all_keys=False,
    ) as resolution:
        for node in resolution.states():
            code = resolution.codes[node.feature]
            for corpus, state, n in resolution.db.execute(_STATES).fetchall():
                corpora[corpus]["features"][node.feature][state] = n
            for corpus, rows, size in resolution.db.execute(_SIZES, [code]).fetchall():
                found = corpora[corpus]["features"][node.feature]
                found |= {"rows": int(rows), "bytes": int(size)}
        for feature in others:
            code = resolution.codes[feature]
            for corpus, n, rows, size in resolution.db.execute(_OTHERS, [code]).fetchall():
                found = corpora[corpus]["features"][feature]
                found |= {"published": n, "rows": int(rows), "bytes": int(size)}
    order = {name: i for i, name in enumerate(n.feature for n in configuration.nodes)}
    for entry in corpora.values():
        entry["features"] = dict(
            sorted(entry["features"].items(), key=lambda kv: (order.get(kv[0], 999), kv[0]))
        )
    return {"corpora": corpora}


def _nothing() -> dict[str, int]:
    return dict.fromkeys((*STATES, "rows", "bytes"), 0)


_STATES = "SELECT c.corpus, s.state, count(*) FROM state s JOIN clips c USING (id) GROUP BY ALL"
# of a result that was published more than once the newest row counts
_SIZES = """
SELECT c.corpus, sum(r.rows), sum(r.bytes)
FROM state s JOIN clips c USING (id) JOIN (
    SELECT fingerprint, arg_max(rows, time) AS rows, arg_max(bytes, time) AS bytes
    FROM results WHERE feature = ? GROUP BY fingerprint
) r USING (fingerprint)
WHERE s.state = 'published' GROUP BY c.corpus
"""
_OTHERS = """
SELECT c.corpus, count(*), sum(r.rows), sum(r.bytes)
FROM clips c JOIN (
    SELECT id, arg_max(rows, time) AS rows, arg_max(bytes, time) AS bytes
    FROM results WHERE feature = ? AND id IS NOT NULL GROUP BY id
) r USING (id)
GROUP BY c.corpus
"""


def inspect(
    store: FeatureStore, clip: str, corpus: str | None = None, variant: str | None = None
) -> dict[str, Any]:
    """All facts of one clip: media, timeline, features with shape, validity and provenance.

    Raises:
        UnknownClip, UnknownVariant: with the nearest name.
    """
    row = store.clip(clip, corpus)
    nodes = store.earlier_nodes()
    features: dict[str, Any] = {}
    times: list[float] | None = None
    for published in store.current(clip, row["corpus"], variant):
        node = nodes.get(published.extractor_key)
        features[published.feature] = _facts(published, store.part_info(published), node)
        if published.feature == "timeline":
            times = store.read_result(published).values.tolist()
    return {
        "corpus": row["corpus"],
        "clip": clip,
        "uri": row["uri"],
        "state": row["state"],
        "problem": row["problem"],
        "duration": row["duration"],
        "frames": None if times is None else len(times),
        "first_time": times[0] if times else None,
        "last_time": times[-1] if times else None,
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


def _facts(result: Published, info: Mapping[str, Any], node: Node | None) -> dict[str, Any]:
    return {
        "shape": [result.rows, *info["dims"]],
        "ragged": info["ragged"],
        "dtype": info["dtype"],
        "rate": info["rate"],
        "valid_share": result.valid_share,
        "t0": result.t0,
        "step": result.step,
        "fingerprint": result.fingerprint,
        "content": result.content,
        "extractor": None if node is None else f"{node.extractor} {node.version}",
        "params": {} if node is None else node.params,
        "inputs": {slot: f for slot, (f, _) in result.inputs.items()},
        "rows_computed": result.computed,
        "rows_reused": result.reused,
        "seconds": round(result.seconds, 3),
        "run": result.run,
        "time": result.time.isoformat(),
    }


def _configuration(store: FeatureStore, variant: str | None) -> Configuration:
    kept = store.wanted(variant) if store.snapshot.pinned is not None else None
    return kept or configured(store, {}, variant or DEFAULT)
