"""Looking entries up by name: ours, and those of packages that declare an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from features.errors import RequestError
from features.plugins import LeftOut, Offer, offers, say
from features.spelling import nearest
from features.weights.entries import ENTRIES
from features.weights.spec import Weights

ENTRY_POINTS = "affectstore.weights"


def registry() -> Mapping[str, Weights]:
    """Name -> entry, of all weights that are known."""
    return _found()[0]


def left_out() -> tuple[LeftOut, ...]:
    """Weights of other packages that aren't used, and why."""
    return _found()[1]


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


@cache
def _found() -> tuple[Mapping[str, Weights], tuple[LeftOut, ...]]:
    found = {weights.name: weights for weights in ENTRIES}
    out: list[LeftOut] = []
    owners: dict[str, str] = dict.fromkeys(found, "affectstore")
    for offer in offers(ENTRY_POINTS, out.append):
        theirs = _entries(offer)
        if theirs is None:
            reason = "it is no features.weights.Weights, nor a list of them"
            out.append(LeftOut(offer.source, f"{reason}; correct it, or uninstall its package"))
            continue
        for weights in theirs:
            if weights.name in owners:
                reason = f"weights {weights.name} are those of {owners[weights.name]}, too"
                out.append(LeftOut(offer.source, f"{reason}; rename one"))
                # of two other packages neither is used, since nothing says which
                if owners[weights.name] != "affectstore":
                    found.pop(weights.name, None)
                continue
            owners[weights.name] = offer.source
            found[weights.name] = weights
    for one in out:
        say(one)
    return found, tuple(out)


def _entries(offer: Offer) -> list[Weights] | None:
    value = offer.value
    entries = [value] if not isinstance(value, Iterable) else list(value)
    checked = [weights for weights in entries if isinstance(weights, Weights)]
    return checked if len(checked) == len(entries) else None
