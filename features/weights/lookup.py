"""Looking entries up by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache

from features.errors import RequestError
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
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise RequestError(f"no weights are named {name!r}{hint}; known: {', '.join(known)}")
    return known[name]
