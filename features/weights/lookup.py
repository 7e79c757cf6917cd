"""Looking entries up by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from features.errors import RequestError
from features.spelling import nearest
from features.weights.entries import ENTRIES
from features.weights.spec import Weights


@cache
def registry() -> Mapping[str, Weights]:
    """Name -> entry, of all weights that are known."""
    return {weights.name: weights for weights in ENTRIES}


def entry(name: str) -> Weights:
    """The entry of that name.

    Raises:
        RequestError: there is none.
    """
    known = registry()
    if name not in known:
        raise RequestError(
            f"no weights are named {name!r}{nearest(name, known)}; known: {', '.join(known)}"
        )
    return known[name]
