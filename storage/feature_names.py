"""Names of features that a person gave: a misspelt one isn't "nothing to do"."""

from __future__ import annotations

from collections.abc import Collection

from features.spelling import nearest
from storage.errors import NotPublished
from storage.inventory import PARTS
from storage.reading import StoreReader


def check_features(store: StoreReader, features: Collection[str] | None) -> None:
    """Refuse names that the store doesn't know: of no result, and of nothing that it may want.

    Raises:
        NotPublished: with the nearest name.
    """
    if not features:
        return
    wanted = store.wanted()
    known = {*store.features(), *(n.feature for n in (wanted.nodes if wanted else ()))}
    for name in features:
        there = next(iter(store.location.list(f"{PARTS}/{name}")), None)
        if name not in known and there is None:
            raise NotPublished(
                f"{store.root} has no result of {name!r}{nearest(name, known)}; "
                "affectstore status shows what it has"
            )
