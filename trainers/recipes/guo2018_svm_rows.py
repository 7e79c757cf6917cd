"""Which clips an SVM of clip features learns from, and what must be known of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.catalogue import counted
from storage.training import ClipTable
from trainers.errors import NothingToTrain
from trainers.models.svm_folds import LEAKS
from trainers.targets import Classes

#: clips of a class without which it can't be cross-validated
FEWEST = 2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows ``(n, columns)`` that are valid and labelled.

    Attributes:
        classes: of the rows; good: of all clips of the table, those that the rows are of.
        notes: what must be known of the others.
    """

    rows: Floats
    classes: Ints
    good: Bools
    notes: Sequence[str]


def labelled(
    table: ClipTable, feature: str, label: str, names: Sequence[str], split: str
) -> Labelled:
    """Rows of a split's table that are valid and labelled.

    Raises:
        NothingToTrain: there are none, or a class is none of the names.
    """
    wanted, known = Classes(label, names).truth(table.selection)
    good = table.valid[feature] & known
    if not good.any():
        raise NothingToTrain(f"no clip of {split} has both {feature} and the label {label}")
    notes = notes_of(table, feature, split)
    if not known.all():
        count = counted(int((~known).sum()), "clip")
        notes.append(f"{split}: {count} without the label {label}")
    rows = np.asarray(table.values[feature], np.float64)
    return Labelled(rows[good], wanted.numpy()[good], good, notes)


def learnable(
    classes: NDArray[np.int64], names: Sequence[str], notes: list[str]
) -> NDArray[np.int64]:
    """The classes with enough clips for cross-validation; notes tell of the others."""
    enough = np.bincount(classes, minlength=len(names)) >= FEWEST
    if enough.sum() < 2:
        raise NothingToTrain(
            f"fewer than two classes have {FEWEST} clips to learn from: add clips, or choose "
            "another split (train.split)"
        )
    rare = [name for name, there in zip(names, enough.tolist(), strict=True) if not there]
    if rare:
        notes.append(f"never predicted, with fewer than {FEWEST} clips: {', '.join(rare)}")
    return np.flatnonzero(enough)


def notes_of(table: ClipTable, feature: str, split: str | None) -> list[str]:
    """What must be known of clips that have no row to go by."""
    notes = list(table.selection.notes)
    lacking = int((~table.valid[feature]).sum())
    if lacking:
        count = counted(lacking, "clip")
        notes.append(f"{split or 'all clips'}: {count} without a valid row of {feature}")
    return notes


def subjects_of(
    table: ClipTable, good: NDArray[np.bool_], notes: list[str]
) -> NDArray[np.int64] | None:
    """A number per subject, of the clips that count; None, and a note, where one isn't named."""
    clips = table.selection.clips
    named = [clip.subject for clip, counts in zip(clips, good.tolist(), strict=True) if counts]
    unnamed = named.count(None)
    if unnamed:
        notes.append(
            f"{counted(unnamed, 'clip')} without a subject: folds by class alone, a subject may be "
            f"on both sides; {LEAKS}"
        )
        return None
    return np.unique(np.array(named, str), return_inverse=True)[1].astype(np.int64)
