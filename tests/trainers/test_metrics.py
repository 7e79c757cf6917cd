"""The metrics against their definitions, written out with plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainers.metrics import (
    Concordance,
    MetricError,
    Scored,
    accuracy,
    action_unit_criterion,
    binary_f1,
    ccc,
    ccc_of,
    confusion_matrix,
    expression_criterion,
    f1_scores,
    macro_f1,
    per_video,
    pooled,
    recalls,
    uar,
    valence_arousal_criterion,
)

ROWS = st.integers(1, 60)
UNIT = st.floats(-1, 1, width=32)


def concordance_by_definition(x: list[float], y: list[float]) -> float:
    """2 s_xy / (s_x² + s_y² + (mean x - mean y)²), divided by n and not by n - 1."""
    n = len(x)
    mx, my = math.fsum(x) / n, math.fsum(y) / n
    sxx = math.fsum((a - mx) ** 2 for a in x) / n
    syy = math.fsum((b - my) ** 2 for b in y) / n
    sxy = math.fsum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / n
    return 2 * sxy / (sxx + syy + (mx - my) ** 2)


def f1_by_definition(x: list[int], y: list[int], positive: int) -> float | None:
    """The harmonic mean of precision and recall of one class; None if nobody names it."""
    hits = sum(a == b == positive for a, b in zip(x, y, strict=True))
    if positive not in x and positive not in y:
        return None
    precision = hits / x.count(positive) if positive in x else 0.0
    recall = hits / y.count(positive) if positive in y else 0.0
    return 2 * precision * recall / (precision + recall) if hits else 0.0


@st.composite
def classes_of(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    n = draw(ROWS)
    one = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    return draw(one), draw(one)


# --- values ---


@given(st.lists(st.tuples(UNIT, UNIT), min_size=3, max_size=50))
def test_ccc_is_what_its_definition_gives(pairs: list[tuple[float, float]]) -> None:
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    if max(x) - min(x) < 1e-3 or max(y) - min(y) < 1e-3:
        return
    assert ccc(x, y) == pytest.approx(concordance_by_definition(x, y), rel=1e-9, abs=1e-12)


def test_ccc_of_a_worked_example_uses_population_moments() -> None:
    # means 2 and 3, variances 2/3 and 8/3, covariance 4/3: (8/3) / (2/3 + 8/3 + 1) = 8/13
    assert ccc([1, 2, 3], [1, 3, 5]) == pytest.approx(8 / 13, rel=1e-15)


def test_ccc_is_one_for_equal_rows_and_minus_one_for_mirrored_ones() -> None:
    x = np.array([-1.0, 0.0, 1.0])

    assert ccc(x, x) == pytest.approx(1.0)
    assert ccc(x, -x) == pytest.approx(-1.0)


def test_a_constant_prediction_has_ccc_zero() -> None:
    assert ccc([0.3] * 4, [0.0, 0.1, 0.2, 0.3]) == pytest.approx(0.0, abs=1e-15)


def test_ccc_is_not_a_number_where_it_is_not_defined() -> None:
    assert math.isnan(ccc([], []))
    assert math.isnan(ccc([0.5, 0.5], [0.5, 0.5]))
    assert math.isnan(ccc([0.1] * 7, [0.1] * 7))
    assert math.isnan(ccc([1.0], [2.0], [False]))


def test_invalid_rows_take_no_part_even_if_they_are_nan() -> None:
    x, y = [1.0, np.nan, 2.0, 3.0], [1.0, -5.0, 3.0, 5.0]

    assert ccc(x, y, [True, False, True, True]) == ccc([1, 2, 3], [1, 3, 5])


def test_a_valid_row_that_is_nan_is_an_error() -> None:
    with pytest.raises(MetricError, match="1 of 2 valid prediction values are NaN"):
        ccc([np.nan, 1.0], [0.0, 1.0])


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 80), st.just(2)), elements=UNIT),
    st.lists(st.integers(0, 80), max_size=4),
    st.sampled_from([0.0, 1e6]),
)
def test_pieces_give_what_the_whole_gives(both: np.ndarray, cuts: list[int], offset: float) -> None:
    both = both + np.linspace(0, 1, len(both))[:, None] + offset
    whole = ccc(both[:, 0], both[:, 1])

    streamed, merged = Concordance(), Concordance()
    for piece in np.split(both, sorted(min(c, len(both)) for c in cuts)):
        streamed.update(piece[:, 0], piece[:, 1])
        alone = Concordance()
        alone.update(piece[:, 0], piece[:, 1])
        merged.merge(alone)

    assert streamed.rows == merged.rows == len(both)
    assert streamed.value == pytest.approx(whole, abs=1e-6)
    assert merged.value == pytest.approx(whole, abs=1e-6)


def test_a_large_offset_costs_no_precision() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, 10_000)
    y = 0.5 * x + np.random.default_rng(1).uniform(-1, 1, 10_000)

    assert ccc(x + 2.0**20, y + 2.0**20) == pytest.approx(ccc(x, y), abs=1e-7)


def test_pooled_ccc_is_not_the_mean_over_videos() -> None:
    videos = {
        "a": Scored([0.0, 0.1, 0.2], [0.0, 0.2, 0.1]),
        "b": Scored([0.8, 0.9, 9.0], [0.9, 0.8, -5.0], [True, True, False]),
    }

    assert pooled(ccc_of, videos) == pytest.approx(
        concordance_by_definition([0.0, 0.1, 0.2, 0.8, 0.9], [0.0, 0.2, 0.1, 0.9, 0.8])
    )
    assert per_video(ccc_of, videos) == pytest.approx(
        {
            "a": concordance_by_definition([0.0, 0.1, 0.2], [0.0, 0.2, 0.1]),
            "b": concordance_by_definition([0.8, 0.9], [0.9, 0.8]),
        }
    )


# --- classes ---


@given(classes_of())
def test_class_metrics_are_what_their_definitions_give(both: tuple[list[int], list[int]]) -> None:
    x, y = both
    matrix = confusion_matrix(x, y, 5)
    right = sum(a == b for a, b in zip(x, y, strict=True))
    recall = [
        sum(a == b == k for a, b in zip(x, y, strict=True)) / y.count(k) for k in sorted({*y})
    ]
    f1 = [f for f in (f1_by_definition(x, y, k) for k in range(5)) if f is not None]

    assert all(
        matrix[j, i] == sum(a == i and b == j for a, b in zip(x, y, strict=True))
        for i in range(5)
        for j in range(5)
    )
    assert accuracy(matrix) == pytest.approx(right / len(x))
    assert uar(matrix) == pytest.approx(sum(recall) / len(recall))
    assert macro_f1(matrix) == pytest.approx(sum(f1) / len(f1))


@given(classes_of())
def test_binary_f1_is_what_its_definition_gives(both: tuple[list[int], list[int]]) -> None:
    x, y = ([int(v > 2) for v in side] for side in both)

    assert binary_f1(x, y) == pytest.approx(f1_by_definition(x, y, 1) or 0.0)


def test_naming_one_class_always_gives_chance_level_recall() -> None:
    # clips per class of the AFEW validation split (Guo et al. 2018)
    counts = (64, 40, 46, 63, 63, 61, 46)
    label = np.repeat(np.arange(7), counts)
    matrix = confusion_matrix(np.zeros(383, int), label, 7)

    assert accuracy(matrix) == pytest.approx(64 / 383)
    assert uar(matrix) == pytest.approx(1 / 7)


@pytest.mark.parametrize(
    ("right", "printed"),
    [(190, 49.61), (179, 46.74), (136, 35.51), (102, 26.63), (105, 27.42), (213, 55.61)],
)
def test_published_accuracies_are_whole_clips_of_the_validation_split(
    right: int, printed: float
) -> None:
    """Guo et al. 2018, models a, b, c, d, e (by its matrix) and all: shares of 383 clips."""
    label = np.repeat(np.arange(7), (64, 40, 46, 63, 63, 61, 46))
    found = np.where(np.arange(383) < right, label, (label + 1) % 7)

    assert round(100 * accuracy(confusion_matrix(found, label, 7)), 2) == printed


def test_classes_that_nobody_names_are_left_out_of_the_means() -> None:
    matrix = confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 5)

    assert recalls(matrix)[:2] == pytest.approx([1.0, 1 / 3])
    assert np.isnan(recalls(matrix)[2:]).all()
    assert uar(matrix) == pytest.approx((1 + 1 / 3) / 2)
    assert f1_scores(matrix)[:3] == pytest.approx([2 / 3, 0.5, 0.0])
    assert macro_f1(matrix) == pytest.approx((2 / 3 + 0.5 + 0.0) / 3)


def test_metrics_of_no_rows_are_not_numbers() -> None:
    empty = confusion_matrix([], [], 3)

    assert empty.shape == (3, 3)
    assert all(math.isnan(metric(empty)) for metric in (accuracy, uar, macro_f1))
    assert math.isnan(binary_f1([], []))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ccc([1, 2], [1]), "shape"),
        (lambda: ccc(1.0, 1.0), "rows"),
        (lambda: ccc([[1, 2]], [[1, 2]]), "one column"),
        (lambda: ccc([1], [1], [1]), "one bool per row"),
        (lambda: ccc([1], [1], [True, False]), "one bool per row"),
        (lambda: confusion_matrix([0.5], [1], 2), "class index"),
        (lambda: confusion_matrix([0], [-1], 2), "label has classes -1"),
        (lambda: confusion_matrix([2], [0], 2), "prediction has classes 2"),
        (lambda: valence_arousal_criterion(Scored([1], [1])), "columns"),
        (lambda: pooled(ccc_of, {}), "no videos"),
    ],
)
def test_what_does_not_fit_together_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        call()


# --- ABAW criteria ---


def test_the_valence_arousal_criterion_is_the_mean_ccc() -> None:
    x = np.array([[1, 1], [2, 0], [3, -1], [9, 9]])
    y = np.array([[1, 1], [3, 0], [5, -1], [-5, -5]])

    found = valence_arousal_criterion(Scored(x, y, [True, True, True, False]))

    assert found == pytest.approx((8 / 13 + 1) / 2)


def test_the_expression_criterion_weighs_f1_and_accuracy() -> None:
    x, y = [0, 0, 1, 2, 3], [0, 1, 1, 1, -1]
    found = expression_criterion(Scored(x, y, [True, True, True, True, False]))

    f1 = (2 / 3 + 0.5 + 0.0) / 3
    assert found == pytest.approx(0.67 * f1 + 0.33 * 0.5)


def test_the_action_unit_criterion_takes_accuracy_over_all_decisions() -> None:
    x = np.array([[1, 0], [1, 0], [0, 0], [0, 1]])
    y = np.array([[1, 0], [0, 0], [1, 0], [0, 1]])

    # unit 0: precision and recall 1/2; unit 1: all right; 6 of 8 decisions right
    assert action_unit_criterion(Scored(x, y)) == pytest.approx(0.5 * (0.5 + 1) / 2 + 0.5 * 6 / 8)


def test_an_action_unit_that_never_occurs_counts_as_f1_zero() -> None:
    zeros = np.zeros((4, 1), int)

    assert action_unit_criterion(Scored(zeros, zeros)) == pytest.approx(0.5)


def test_published_criteria_follow_from_published_parts() -> None:
    """Kuhnke et al. 2020: test F1 .40 and accuracy .70 make .50; .27 and .93 make .60."""
    from trainers import metrics

    ex = metrics.EXPRESSION_F1 * 0.40 + metrics.EXPRESSION_ACCURACY * 0.70
    au = metrics.ACTION_UNIT_F1 * 0.27 + metrics.ACTION_UNIT_ACCURACY * 0.93

    assert round(ex, 2) == 0.50
    assert round(au, 2) == 0.60
