"""What the networks of guo2018 see of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.guo2018.views import any_window, maps_of, windows


@pytest.mark.parametrize(
    ("count", "starts"),
    [(16, [0]), (17, [0, 1]), (24, [0, 8]), (30, [0, 8, 14]), (32, [0, 8, 16])],
)
def test_windows_begin_every_stride_and_the_last_one_stops_at_the_end(
    count: int, starts: list[int]
) -> None:
    rows = windows(count, 16, 8)
    assert rows[:, 0].tolist() == starts
    assert (rows == rows[:, :1] + np.arange(16)).all()
    assert rows.max() == count - 1


def test_what_is_shorter_than_a_window_repeats_its_last_row() -> None:
    assert windows(3, 5, 2).tolist() == [[0, 1, 2, 2, 2]]
    assert any_window(3, 5, np.random.default_rng(0)).tolist() == [[0, 1, 2, 2, 2]]


def test_training_windows_begin_anywhere() -> None:
    rng = np.random.default_rng(0)
    starts = {int(any_window(9, 4, rng)[0, 0]) for _ in range(200)}
    assert starts == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("rows", "maps"), [(1, 1), (33, 1), (34, 1), (35, 2), (51, 2), (52, 3), (153, 8), (170, 9)]
)
def test_maps_are_34_rows_each_17_and_the_last_row_is_repeated(rows: int, maps: int) -> None:
    given = np.arange(rows * 34, dtype=np.float32).reshape(rows, 34)
    found = maps_of(given)
    assert found.shape == (maps, 34, 34)
    padded = max(34, -(-rows // 17) * 17)
    assert maps == (padded - 17) // 17
    whole = np.concatenate([given, np.repeat(given[-1:], padded - rows, 0)])
    for k in range(maps):
        np.testing.assert_array_equal(found[k], whole[17 * k : 17 * k + 34])
