"""Predictions per utterance in the rows and order that OMG-Emotion's scorer takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from storage.clips import is_listed
from trainers.recipe import Context, Predictions


def per_utterance(
    context: Context,
    split: str | None,
    labels: Sequence[str],
    found: Mapping[str, NDArray[np.float64]],
) -> Predictions:
    """A row for each clip of the split.

    Clips with the attributes ``video``, ``utterance`` and ``row`` (adapter ``omg``) give
    ``video, utterance, <labels>`` in the order of the split's own table, others
    ``clip, <labels>`` in order of id. A clip that has no features gets the mean of the others,
    since the scorer wants every row; a note counts them.

    Args:
        found: clip -> ``(labels,)``.
    """
    names = ("corpus", "clip", "split", "state", "problem", "attrs")
    table = context.store.clips(context.corpus, names)
    rows = [row for row in table.to_pylist() if is_listed(row) and split in (None, row["split"])]
    attributes = {row["clip"]: json.loads(row["attrs"] or "{}") for row in rows}
    ordered = all({"video", "utterance", "row"} <= a.keys() for a in attributes.values())
    if ordered:
        rows.sort(key=lambda r: (r["split"] or "", int(attributes[r["clip"]]["row"])))
    keys = ("video", "utterance") if ordered else ("clip",)
    mean = np.mean(list(found.values()), 0)
    lines: list[tuple[object, ...]] = []
    for row in rows:
        clip = row["clip"]
        own = [attributes[clip][key] for key in keys] if ordered else [clip]
        lines.append((*own, *(f"{value:.6f}" for value in found.get(clip, mean))))
    absent = [row["clip"] for row in rows if row["clip"] not in found]
    notes = [f"{clip} has no features; its row is the mean of the others" for clip in absent]
    return Predictions((*keys, *labels), lines, notes)
