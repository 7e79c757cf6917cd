"""Clips that have a feature and no valid row of it: they are learned from as if it were nothing."""

from __future__ import annotations

from collections.abc import Collection

from storage.catalogue import counted
from storage.selection import Selection
from trainers.errors import NothingToTrain


def rowless(selection: Selection, features: Collection[str], split: str) -> list[str]:
    """A line per feature of which some clips have no valid row (no face, no sound)."""
    found = {name: _count(selection, name) for name in features}
    return [
        f"{split}: {counted(count, 'clip')} without a valid row of {name}"
        for name, count in found.items()
        if count
    ]


def need_rows(selection: Selection, features: Collection[str], split: str) -> None:
    """Of each feature, some clip has a valid row.

    Raises:
        NothingToTrain: none has.
    """
    for name in features:
        if _count(selection, name) == len(selection):
            raise NothingToTrain(
                f"{split}: no clip has a valid row of {name}; affectstore status and picture show "
                "what was found of it"
            )


def _count(selection: Selection, feature: str) -> int:
    return sum(clip.results[feature].valid_share == 0 for clip in selection.clips)
