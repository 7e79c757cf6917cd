"""Committing what a run computed, without clips that were forgotten while it ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from storage.forget import forget
from storage.records import Failure, Published
from storage.store import FeatureStore
from storage.unnamed import tombstones, wipe_unnamed

Name = tuple[str, str]


def commit_kept(
    store: FeatureStore, published: Sequence[Published], failures: Sequence[Failure]
) -> tuple[list[Published], list[Failure]]:
    """Publish results as ``FeatureStore.commit`` does, but nothing of forgotten clips.

    Rows of such clips are also removed from the parts that the run wrote. If a clip is forgotten
    in the very moment of the commit, what was just published of it is forgotten too.

    Returns:
        What was published, and what was put into quarantine.

    Raises:
        As ``FeatureStore.commit``.
    """
    gone = _forgotten(store, published, failures)
    kept = [r for r in published if (r.corpus, r.clip) not in gone]
    failed = [f for f in failures if (f.corpus, f.clip) not in gone]
    store.commit(kept, failed)
    # a remote table's version is believed for a moment; here it must be the newest
    store.snapshot["clips"].reload()
    late = _forgotten(store, kept, failed)
    if gone:
        wipe_unnamed(store, {(r.feature, p.part) for r in published for p in r.pieces})
    if late:
        forget(store, sorted(late))
    return (
        [r for r in kept if (r.corpus, r.clip) not in late],
        [f for f in failed if (f.corpus, f.clip) not in late],
    )


def _forgotten(
    store: FeatureStore, published: Iterable[Published], failures: Iterable[Failure]
) -> set[Name]:
    clips = {(r.corpus, r.clip) for r in published} | {(f.corpus, f.clip) for f in failures}
    if not clips:
        return set()
    return clips & {(corpus, clip) for corpus, ids in tombstones(store).items() for clip in ids}
