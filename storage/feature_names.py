"""Names of features that a person gave: a misspelt one isn't "nothing to do"."""

from __future__ import annotations

from collections.abc import Collection

from features.spelling import nearest
from storage.errors import NotPublished
from storage.inventory import PARTS
from storage.reading import StoreReader


def check_features(store: StoreReader, features: Collection[str] | None) -> None:
    """Refuse names of which the store has no result, whether now or under a tag.

    Raises:
        NotPublished: with the nearest name.
    """
    known = set(store.features())
    for name in features or ():
        there = next(iter(store.location.list(f"{PARTS}/{name}")), None)
        if name not in known and there is None:
            raise NotPublished(
                f"{store.root} has no result of {name!r}{nearest(name, known)}; "
                "affectstore status shows what it has"
            )
