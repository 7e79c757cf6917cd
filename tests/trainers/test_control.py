"""Labels of other clips tell nothing of a clip's own."""

from __future__ import annotations

import numpy as np

from trainers.control import derangement, told_by, unlike


def test_no_clip_keeps_its_labels_and_little_of_them_is_left() -> None:
    made = np.random.default_rng(0)
    told = np.column_stack(
        [np.tile([1.0, -1.0], 8) + made.normal(0, 0.1, 16), made.normal(0, 1, 16)]
    )
    told[3, 1] = np.nan

    def left(order: np.ndarray) -> float:
        pairs = [(told[:, k], told[order, k]) for k in range(2)]
        both = [np.isfinite(x) & np.isfinite(y) for x, y in pairs]
        return max(
            abs(float(np.corrcoef(x[b], y[b])[0, 1])) for (x, y), b in zip(pairs, both, strict=True)
        )

    for seed in range(5):
        order = unlike(told, np.random.default_rng(seed))
        assert sorted(order) == list(range(16))
        assert (order != np.arange(16)).all()
        assert left(order) < 0.1
    others = [left(derangement(16, np.random.default_rng(seed))) for seed in range(20)]
    assert np.median(others) > 0.2


def test_of_classes_as_many_keep_their_own_as_chance_gives() -> None:
    classes = np.arange(48) % 4
    told = told_by(classes, 4)
    assert told.sum(0).tolist() == [12, 12, 12, 12]
    for seed in range(5):
        given = classes[unlike(told, np.random.default_rng(seed))]
        own = [int(((classes == i) & (given == i)).sum()) for i in range(4)]
        assert max(own) <= 4  # 3 of 12 are chance
        assert min(own) >= 2
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert told_by(values, 2).tolist() == values.tolist()


def test_labels_that_are_all_alike_or_none_are_put_in_some_order() -> None:
    for told in (np.ones((4, 2)), np.full((4, 1), np.nan), np.zeros((4, 0))):
        assert sorted(unlike(told, np.random.default_rng(0))) == [0, 1, 2, 3]
