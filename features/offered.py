"""Extractors of other packages: which of them can be used beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from features.errors import FeatureError
from features.extractor import Declaration
from features.plugins import LeftOut, Offer, told
from features.weights.lookup import entry

OURS = "affectstore"
CORRECT = "correct it, or uninstall its package"
RENAME = "rename one, or uninstall its package"


class Offered:
    """What entry points gave, less what can't be used.

    Attributes:
        out: what is left out so far.
    """

    def __init__(self, built_in: Sequence[Declaration]) -> None:
        self.out: list[LeftOut] = []
        self._built_in = built_in
        self._kept: list[tuple[Offer, Declaration]] = []

    def add(self, offer: Offer) -> None:
        """Take an offer in, or leave it out."""
        declaration = getattr(offer.value, "declaration", None)
        if not isinstance(declaration, Declaration):
            reason = f"it is no class with @extractor; {CORRECT}"
            self.out.append(LeftOut(offer.source, reason))
        elif fault := _fault(declaration):
            self._leave_out(offer, declaration, fault)
        else:
            self._kept.append((offer, declaration))

    def drop_clashes(self) -> None:
        """Leave out who has a name that another one has, too: results would say the wrong thing.

        What is built in stays; of two other packages neither does, since nothing says which.
        """
        owners: dict[str, list[str]] = {}
        taken = [(OURS, d) for d in self._built_in]
        for source, declaration in [*taken, *((o.source, d) for o, d in self._kept)]:
            for name in _names(declaration):
                owners.setdefault(name, []).append(source)
        kept = []
        for offer, declaration in self._kept:
            clashing = [n for n in sorted(_names(declaration)) if len(owners[n]) > 1]
            if clashing:
                others = [s for s in owners[clashing[0]] if s != offer.source]
                whose = " and of ".join(others or ["the same package"])
                reason = f"there is the {clashing[0]} of {whose}, too"
                self._leave_out(offer, declaration, f"{reason}; {RENAME}")
            else:
                kept.append((offer, declaration))
        self._kept = kept

    def in_order(self) -> list[Declaration]:
        """Each after those that it reads from; who reads what nobody makes is left out."""
        made = {spec.name for d in self._built_in for spec in d.outputs}
        waiting, done = self._kept, list[Declaration]()
        while ready := [(o, d) for o, d in waiting if set(d.inputs.values()) <= made]:
            done += [d for _, d in ready]
            made |= {spec.name for _, d in ready for spec in d.outputs}
            waiting = [pair for pair in waiting if pair not in ready]
        theirs = {spec.name for _, d in waiting for spec in d.outputs}
        for offer, declaration in waiting:
            lost = next(f for f in declaration.inputs.values() if f not in made)
            reason = (
                f"it and others read each other in a circle ({lost})"
                if lost in theirs
                else f"it reads {lost}, which no extractor here makes"
            )
            self._leave_out(offer, declaration, f"{reason}; {CORRECT}")
        return done

    def _leave_out(self, offer: Offer, declaration: Declaration, reason: str) -> None:
        names = frozenset({declaration.name, *(spec.name for spec in declaration.outputs)})
        self.out.append(LeftOut(offer.source, reason, names))


def _names(declaration: Declaration) -> set[str]:
    return {f"extractor {declaration.name}", *(f"feature {s.name}" for s in declaration.outputs)}


def _fault(declaration: Declaration) -> str | None:
    """What would make every plan fail: told by asking all that a plan asks."""
    try:
        params = declaration.cls.Params()
        for name in declaration.weights_for(params):
            entry(name)
        _all(declaration.inputs_for(params), declaration.assets_for(params))
        _all(declaration.tools_for(params), declaration.suffices_for(params))
        declaration.unavailable(params)
    except FeatureError as error:
        return f"{error}; {CORRECT}"
    except Exception as error:  # foreign code may raise anything
        return f"its declaration fails ({told(error)}); {CORRECT}"
    return None


def _all(*told_: Iterable[object]) -> None:
    for one in told_:
        list(one)
