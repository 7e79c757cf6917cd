"""Cross-validation in which no subject is in two folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainers.errors import NothingToTrain


def subject_folds(
    subjects: Sequence[str | None], count: int, seed: int
) -> tuple[NDArray[np.int64], list[list[str]]]:
    """Which fold each clip is held out in, from equally many subjects per fold, or one more.

    Args:
        subjects: one per clip. seed: of the order in which subjects are dealt out.

    Returns:
        Per clip its fold, from 0; per fold its subjects.

    Raises:
        NothingToTrain: a clip has no subject, or there are fewer subjects than folds.
    """
    if any(subject is None for subject in subjects):
        raise NothingToTrain(
            "folds need each clip's subject; without them use train.folds=0 and splits"
        )
    names = sorted({str(subject) for subject in subjects})
    if len(names) < count:
        raise NothingToTrain(
            f"{len(names)} subjects can't make {count} folds; set train.folds={len(names)} or less"
        )
    order = np.random.default_rng([seed, 77]).permutation(len(names))
    dealt = [sorted(names[i] for i in part) for part in np.array_split(order, count)]
    fold = {name: i for i, part in enumerate(dealt) for name in part}
    return np.array([fold[str(subject)] for subject in subjects], np.int64), dealt
