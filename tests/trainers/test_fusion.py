"""Weights on the simplex that raise accuracy."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from trainers.fusion import fuse, simplex, weighted


@pytest.mark.parametrize(("models", "step"), [(1, 0.05), (2, 0.05), (5, 0.05), (3, 0.25)])
def test_the_simplex_has_every_point_once(models: int, step: float) -> None:
    points = simplex(models, step)
    parts = round(1 / step)
    assert len(points) == comb(parts + models - 1, models - 1)
    assert len(np.unique(points, axis=0)) == len(points)
    np.testing.assert_allclose(points.sum(1), 1)
    np.testing.assert_allclose(points / step, np.round(points / step), atol=1e-9)


def test_a_step_that_one_is_no_multiple_of_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        simplex(2, 0.3)


def test_weights_are_the_best_of_all_points() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 60)
    shares = rng.dirichlet(np.ones(4), (3, 60))
    shares[0, :30, :] += np.eye(4)[classes[:30]] * 0.4
    shares[1, 30:, :] += np.eye(4)[classes[30:]] * 0.4
    shares /= shares.sum(2, keepdims=True)
    found = fuse(shares, classes, 0.1)
    every = [np.mean(weighted(shares, p).argmax(1) == classes) for p in simplex(3, 0.1)]
    assert found.accuracy == max(every)
    assert found.tried == len(every) == 66
    alone = [np.mean(s.argmax(1) == classes) for s in shares]
    assert found.accuracy > max(alone)


def test_of_equally_good_weights_the_most_even_ones_are_taken() -> None:
    shares = np.tile([0.2, 0.8], (3, 5, 1))
    found = fuse(shares, np.ones(5, np.int64), 0.25)
    assert sorted(found.weights.tolist()) == [0.25, 0.25, 0.5]
    with pytest.raises(ValueError, match="no clips"):
        fuse(shares[:, :0], np.zeros(0, np.int64))
