"""Rows before and after, for the tests of diffs."""

from __future__ import annotations

from dataclasses import replace

from features.spec import FeatureSpec, Rows
from storage import (
    FeatureStore,
)
from storage.compare import ClipDiff
from storage.diff import FeatureDiff, diff


def between(store: FeatureStore, old: Rows, new: Rows, spec: FeatureSpec) -> FeatureDiff:
    """The diff of one clip's rows before and after."""
    store.publish("a", spec, old)
    store.tag("old")
    store.publish("a", spec, new)
    (found,) = diff(FeatureStore.open(store.root, at="old"), store)
    return found


def edited(rows: Rows, at: list[int], by: float) -> Rows:
    """The rows with some of them changed by a number, and valid."""
    values, valid = rows.values.copy(), rows.valid.copy()
    values[at] = values[at] + by
    valid[at] = rows.valid[at]
    return replace(rows, values=values, valid=valid)


def only(found: FeatureDiff) -> ClipDiff:
    (clip,) = found.changed
    return clip
