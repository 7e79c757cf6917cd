"""Names in messages: hints about those that nobody knows, and many cut to a few."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

#: least likeness, of 1; two names of about one length and half of their letters are no slip
LIKE = 0.6


def nearest(name: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` for the known name that this one was meant to be, or ``""``.

    The shortest name that holds this one, whatever its case and however its letters with marks are
    spelt, else the one most like it.
    """
    names = list(known)
    holding = sorted((n for n in names if name and _plain(name) in _plain(n)), key=len)
    near = holding or difflib.get_close_matches(name, names, n=1, cutoff=LIKE)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def shortened(names: Iterable[str], *, most: int = 5) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
