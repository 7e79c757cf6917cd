"""Folds of a cross-validation that keep a class's share, and people apart where they can."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from trainers.errors import NothingToTrain

Ints = NDArray[np.int64]
#: rows to learn from, and rows that are held out
Cut = tuple[Ints, Ints]

LEAKS = "accuracies and probabilities may be too good"


def cut(
    classes: Ints, count: int, groups: Ints | None, folds: int, seed: int, names: Sequence[str]
) -> tuple[list[Cut], list[str]]:
    """As many folds as there can be, up to ``folds``, and what must be known of them.

    No group is on both sides of a fold, and folds that leave a class nothing to learn from are
    left out. Only where none remains (there is one group, or each fold holds out all that have
    some class) the folds are by class alone, and a note says so.

    Args:
        groups: per row, whom it is of.
        names: of the classes.

    Raises:
        NothingToTrain: a class has fewer than two rows.
    """
    smallest = int(np.bincount(classes, minlength=count).min())
    if smallest < 2:
        raise NothingToTrain(
            f"the smallest class has {smallest} training clips; each needs 2 or more"
        )
    folds = min(folds, smallest)
    rows = np.zeros((len(classes), 1))
    notes = []
    if groups is not None:
        people = len(np.unique(groups))
        found: list[Cut] = []
        if people > 1:
            apart = StratifiedGroupKFold(min(folds, people), shuffle=True, random_state=seed)
            found = _whole(list(apart.split(rows, classes, groups)), classes, count)
        if found:
            held = np.concatenate([classes[out] for _, out in found])
            alone = [names[c] for c in range(count) if c not in held]
            if alone:
                notes.append(
                    f"too few subjects have {', '.join(alone)}, so that no fold holds it out: its "
                    "probability follows the other classes' curve"
                )
            return found, notes
        why = "there is one subject" if people == 1 else "each fold would lack a class"
        notes.append(f"{why}: folds by class alone, subjects are on both sides; {LEAKS}")
    plain = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return _whole(list(plain.split(rows, classes)), classes, count), notes


def _whole(cuts: Sequence[Cut], classes: Ints, count: int) -> list[Cut]:
    """Those with something to learn of each class, and something held out."""
    return [c for c in cuts if len(np.unique(classes[c[0]])) == count and len(c[1])]
