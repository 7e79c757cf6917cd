"""Clips that were asked for and whose file isn't there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.spelling import shortened
from flows.availability import lacks
from flows.pipeline import with_ancestors
from storage.clips import MISSING, listed
from storage.records import Configuration
from storage.resolve import Catalogue, Resolution

#: states of a result that can't be read as it is wanted
NOT_PUBLISHED = ("stale", "missing", "quarantined")
NAMES = pa.schema([("corpus", pa.string()), ("clip", pa.string())])


def absent_clips(
    configuration: Configuration,
    features: Sequence[str],
    clips: pa.Table,
    catalogue: Catalogue,
    failures: pa.Table,
    states: Sequence[str] = NOT_PUBLISHED,
) -> pa.Table:
    """Corpus and clip of those listed without a file that lack a result of the features.

    A clip that its corpus's last ingest didn't list isn't asked for. What is published of a clip
    stays as it is; what could not be computed here even with the file wasn't asked of it.

    Args:
        clips: with their ``state`` and ``problem``, in which they may be there too.
        states: those of a result that is lacking.
    """
    gone = listed(clips.filter(pc.equal(clips["state"], MISSING)))
    if not len(gone):
        return NAMES.empty_table()
    able = {feature: lack.able for feature, lack in lacks(configuration, gone).items()}
    waiting = np.zeros(len(gone), bool)
    nodes = with_ancestors(configuration, features)
    with Resolution(nodes, gone, catalogue, failures) as resolution:
        for node in resolution.states():
            if node.feature not in features:
                continue
            lacking = np.zeros(len(gone), bool)
            rows = resolution.db.execute(
                "SELECT id FROM state WHERE state IN (SELECT unnest(?))", [list(states)]
            )
            lacking[rows.fetchnumpy()["id"]] = True
            waiting |= lacking & able.get(node.feature, True)
    return gone.filter(pa.array(waiting)).select(NAMES.names)


def names_of(clips: pa.Table) -> tuple[str, ...]:
    """``corpus/clip`` of each row."""
    pairs = zip(clips["corpus"].to_pylist(), clips["clip"].to_pylist(), strict=True)
    return tuple(f"{corpus}/{clip}" for corpus, clip in pairs)


def told(names: Sequence[str]) -> str:
    """One line on clips without a file, with what to do."""
    one = len(names) == 1
    whose = "1 clip's file is" if one else f"{len(names):,} clips' files are"
    back = "it is" if one else "they are"
    return (
        f"{whose} missing: {shortened(names)}; ingest again when {back} back "
        "(forget removes a clip for good)"
    )
