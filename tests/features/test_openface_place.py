"""Rows on the timeline, by frame number."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from features.openface.errors import BadCsv, RowsMismatch
from features.openface.place import Placing, Span, place_rows
from features.openface.table import Table

PAD = Placing(min_confidence=0.8, rule="pad", max_lacking=0.05)


def table(frames: list[int], *, numbered: bool = True) -> Table:
    values = np.zeros((len(frames), 714), np.float32)
    values[:, 0] = np.array(frames) + 1
    values[:, 3], values[:, 4] = 0.98, 1
    return Table(values, np.array(frames), numbered, 714, ())


def test_rows_stand_where_their_frame_number_says_whatever_their_order() -> None:
    rows = place_rows("x", table([2, 0, 1]), Span(0, 3, 3, 0.852), PAD)
    np.testing.assert_array_equal(rows.values[:, 0], [1, 2, 3])
    assert (rows.valid.all(), rows.t0) == (True, 0.852)


def test_invalid_rows_keep_what_openface_wrote() -> None:
    made = table([0, 1])
    made.values[0, 3] = 0.02
    made.values[0, 295] = 30651100.0
    rows = place_rows("x", made, Span(0, 2, 2, 0.0), PAD)
    np.testing.assert_array_equal(rows.valid, [False, True])
    assert rows.values[0, 295] == np.float32(30651100.0)


def test_lacking_rows_are_padded_with_a_warning_that_has_both_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = place_rows("x", table([*range(50), *range(51, 100)]), Span(0, 100, 100, 0.0), PAD)
    assert "99 rows" in caplog.text
    assert "100 frames" in caplog.text
    assert np.isnan(rows.values[50]).all()
    assert rows.valid.sum() == 99
    assert not rows.valid[50]


def test_rows_past_the_timeline_are_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = place_rows("x", table(list(range(98))), Span(0, 95, 95, 0.0), PAD)
    assert rows.rows == 95
    assert rows.valid.all()
    assert "98 rows" in caplog.text


def test_too_many_lacking_rows_are_an_error() -> None:
    with pytest.raises(RowsMismatch, match=r"50 rows, the timeline 100 frames.*max_lacking"):
        place_rows("x", table(list(range(50))), Span(0, 100, 100, 0.0), PAD)


def test_the_rule_fail_takes_no_other_number() -> None:
    with pytest.raises(RowsMismatch, match=r"99 rows, the timeline 100 frames.*rows=fail"):
        place_rows("x", table(list(range(99))), Span(0, 100, 100, 0.0), replace(PAD, rule="fail"))


def test_rows_without_numbers_must_be_as_many_as_frames() -> None:
    unnumbered = table(list(range(99)), numbered=False)
    with pytest.raises(RowsMismatch, match="doesn't number its rows"):
        place_rows("x", unnumbered, Span(0, 100, 100, 0.0), PAD)
    assert place_rows("x", unnumbered, Span(0, 99, 99, 0.0), PAD).valid.all()


def test_a_cut_takes_its_own_frames_of_the_file() -> None:
    rows = place_rows("x", table(list(range(100))), Span(40, 10, 100, 1.6), PAD)
    np.testing.assert_array_equal(rows.values[:, 0], np.arange(41, 51))


def test_several_rows_of_one_frame_are_several_faces() -> None:
    with pytest.raises(BadCsv, match=r"frame 2.*openface_multi"):
        place_rows("x", table([0, 1, 1, 2]), Span(0, 4, 4, 0.0), PAD)
