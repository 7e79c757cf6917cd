"""What is in quarantine: failures that still stand in the way, under any configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from features.errors import FeatureError
from flows.backoff import due_times
from flows.configured import DEFAULT, configured
from storage import Configuration, FeatureStore
from storage.clips import listed
from storage.configurations import RUN
from storage.database import database
from storage.resolve import CLIP_COLUMNS, closure, resolve

#: what tells one failed result from another
_KEY = ("corpus", "clip", "feature", "fingerprint")


def quarantine(store: FeatureStore, corpus: str | None = None) -> list[dict[str, Any]]:
    """What is in quarantine now: the newest failure of every result that isn't published since.

    Of clips that their corpus still lists: the others are nobody's work any more.
    A result of several configurations is listed once, under the first of them: the default one,
    the store's others by name, then those of runs with ``--set``. What a configuration wants is
    judged by today's extractors: a failure of an earlier version stands in nobody's way.

    Returns:
        Dicts with clip, corpus, feature, code, message, attempts, log, run, time, ``again``:
        from when on an extract tries by itself, None if only retry does; ``configuration``, its
        name, and ``settings``, what differs from the extractors' defaults in it.
    """
    clips = listed(store.clips(corpus, (*CLIP_COLUMNS, "state", "problem")))
    failed = store.failures()
    if not len(failed):
        return []
    catalogue = store.snapshot["catalogue"].fixed().batches
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    when = due_times()
    with database() as db:
        db.register("failed", failed)
        db.register("clips", clips)
        # a result waits for what it reads, of its own clip only
        clips = db.execute(
            "SELECT * FROM clips SEMI JOIN failed USING (corpus, clip) ORDER BY corpus, clip"
        ).to_arrow_table()
        features = set(failed["feature"].to_pylist())
        for configuration in _configurations(store, failed, found):
            nodes = closure(configuration.nodes, features)
            db.register("resolved", resolve(nodes, clips, catalogue, failed))
            for row in db.execute(_STANDING).to_arrow_table().to_pylist():
                key = tuple(row[name] for name in _KEY)
                about = {"configuration": configuration.name, "settings": configuration.settings}
                again = when(row["code"], row["attempts"], row["time"])
                found.setdefault(key, row | about | {"again": again})
    rows = sorted(found.values(), key=lambda row: (row["corpus"], row["clip"], row["feature"]))
    return [{name: value for name, value in row.items() if name != "fingerprint"} for row in rows]


def _configurations(
    store: FeatureStore, failed: pa.Table, found: dict[tuple[str, ...], dict[str, Any]]
) -> Iterator[Configuration]:
    """The default configuration, then the others as long as failures are left that they explain."""
    yield _wanted(store, DEFAULT) or configured(store, {})
    failing = {tuple(row[k] for k in _KEY) for row in failed.to_pylist()}
    kept = store.snapshot["configurations"].read(columns=["name", "id"]).to_pylist()
    seen = set[str]()
    for row in sorted(kept, key=lambda row: (row["name"].startswith(RUN), row["name"])):
        if all(key in found for key in failing):
            return
        if row["name"] == DEFAULT or row["id"] in seen:
            continue
        configuration = _wanted(store, row["name"])
        if configuration is not None:
            seen |= {row["id"], configuration.id}
            yield configuration


def _wanted(store: FeatureStore, name: str) -> Configuration | None:
    """A configuration as today's extractors make it; at an earlier point as it was kept then.

    None if they can't: a parameter or an extractor that it sets is gone.
    """
    if store.snapshot.pinned is not None:
        return store.configuration(name)
    try:
        return configured(store, {}, name)
    except FeatureError:
        if name == DEFAULT:
            raise
        return None


_STANDING = """
SELECT f.corpus, f.clip, f.feature, f.fingerprint, f.code, f.message,
    max(f.attempts) OVER (PARTITION BY f.corpus, f.clip, f.feature, f.fingerprint) AS attempts,
    f.log, f.run, f.time
FROM failed f JOIN resolved r USING (corpus, clip, feature, fingerprint)
WHERE r.state = 'quarantined'
QUALIFY row_number() OVER (
    PARTITION BY f.corpus, f.clip, f.feature ORDER BY f.time DESC) = 1
"""
