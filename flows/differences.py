"""What differs between two points of a store's history, and why, as plain facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import pyarrow.compute as pc

from flows.reasons import reason
from storage import FeatureStore, Node, Published
from storage.chosen import passed_over
from storage.compare import ClipDiff, Size
from storage.diff import FeatureDiff, diff

#: corpus, clip and media key
_Cut: TypeAlias = tuple[str, str, str]


def differences(
    a: FeatureStore,
    b: FeatureStore,
    features: Sequence[str] | None = None,
    corpus: str | None = None,
    variant: str | None = None,
    against: str | None = None,
) -> dict[str, Any]:
    """See ``storage.diff.diff``, whose arguments and errors these are.

    Returns:
        ``{"a": versions, "b": versions, "not_read": {"a": counts, "b": counts}, "features":
        [{"feature", "added", "removed", "changed", "same", "rows_added", "rows_removed",
        "rows_changed", "rows_compared", "share", "why", "max_abs", "mean_abs", "cosine",
        "least_cosine", "items"}]}``. ``changed`` has the same counts and sizes of each clip, the
        numbers of its changed rows, and how it was placed and made before and after; ``why``
        counts the clips by reason. ``not_read``, where the newest results are compared: of which
        features, and of how many clips, a read gives an earlier one.
    """
    nodes = a.earlier_nodes() | b.earlier_nodes()
    cuts = _recut(a, corpus) | _recut(b, corpus)
    found = diff(a, b, features, corpus, variant=variant, against=against)
    newest = variant is None and against is None
    asked = [entry.feature for entry in found]
    return {
        "a": a.versions,
        "b": b.versions,
        "not_read": {
            side: passed_over(store, corpus, asked) if newest else {}
            for side, store in (("a", a), ("b", b))
        },
        "features": [_feature_facts(f, nodes, cuts) for f in found],
    }


def _recut(store: FeatureStore, corpus: str | None) -> set[_Cut]:
    """The cuts of clips that had others of the same file, these others among them."""
    found = set[_Cut]()
    if corpus is not None and corpus not in store.corpora():
        return found
    rows = store.clips(corpus, ("corpus", "clip", "media_key", "earlier_cuts"))
    for row in rows.filter(pc.greater(pc.list_value_length(rows["earlier_cuts"]), 0)).to_pylist():
        for key in (row["media_key"], *row["earlier_cuts"]):
            found.add((row["corpus"], row["clip"], key))
    return found


def _feature_facts(
    found: FeatureDiff, nodes: Mapping[str, Node], cuts: Collection[_Cut]
) -> dict[str, Any]:
    clips = [_clip_facts(clip, nodes, cuts) for clip in found.changed]
    return {
        "feature": found.feature,
        "added": [{"corpus": corpus, "clip": clip} for corpus, clip in found.added],
        "removed": [{"corpus": corpus, "clip": clip} for corpus, clip in found.removed],
        "changed": clips,
        "same": found.same,
        "rows_added": found.rows_added,
        "rows_removed": found.rows_removed,
        "rows_changed": found.rows_changed,
        "rows_compared": found.rows_compared,
        "share": found.share,
        "why": dict(Counter(clip["why"] for clip in clips).most_common()),
        **_size_facts(found.size),
        "items": None if found.items is None else list(found.items),
    }


def _clip_facts(
    clip: ClipDiff, nodes: Mapping[str, Node], cuts: Collection[_Cut]
) -> dict[str, Any]:
    return {
        "corpus": clip.corpus,
        "clip": clip.clip,
        "rows": clip.rows.tolist(),
        "block": clip.block,
        "rows_changed": clip.rows_changed,
        "rows_compared": clip.rows_compared,
        "rows_added": clip.rows_added,
        "rows_removed": clip.rows_removed,
        "lost": clip.lost,
        "gained": clip.gained,
        **_size_facts(clip.size),
        "items": None if clip.items is None else list(clip.items),
        "alike": clip.alike,
        "moved": clip.moved,
        "why": _why(clip, nodes, cuts),
        "before": _result_facts(clip.before),
        "after": _result_facts(clip.after),
    }


def _size_facts(size: Size) -> dict[str, float | None]:
    return {
        "max_abs": size.max_abs,
        "mean_abs": size.mean_abs,
        "cosine": size.cosine,
        "least_cosine": size.least_cosine,
    }


def _result_facts(result: Published) -> dict[str, Any]:
    return {
        "fingerprint": result.fingerprint,
        "content": result.content,
        "rows": result.rows,
        "t0": result.t0,
        "step": result.step,
        "run": result.run,
        "time": result.time.isoformat(),
    }


def _why(clip: ClipDiff, nodes: Mapping[str, Node], cuts: Collection[_Cut]) -> str:
    """The reason in the words of plans; results that no extractor made have none but that."""
    node = nodes.get(clip.after.extractor_key)
    if node is None:
        return "published anew"
    before, after = clip.before.inputs, clip.after.inputs
    media = {clip.before.media_key, clip.after.media_key}
    return reason(
        # as it was bound for this result: what made it may be bound otherwise elsewhere
        replace(node, inputs=tuple(sorted((slot, f) for slot, (f, _) in after.items()))),
        clip.before.extractor_key,
        media_changed=len(media) > 1,
        cut_changed=len(media) > 1 and all((clip.corpus, clip.clip, key) in cuts for key in media),
        fresh="",
        earlier=nodes,
        read={slot: f for slot, (f, _) in before.items()},
        changed={
            f for slot, (f, read) in before.items() if slot in after and after[slot][1] != read
        },
    )
