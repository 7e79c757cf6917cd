"""Labels of three tasks: what contradicts itself, what stands in for what lacks, what is scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainers.abaw.cleaning import broken, contradictions, possible
from trainers.abaw.frames import epoch_order, labelled_frames
from trainers.abaw.labels import TaskLabels, of_other_clips
from trainers.abaw.losses import multi_task_loss
from trainers.abaw.pseudo import BINS, Histogram, bins_of, completed
from trainers.abaw.scores import criteria, decided
from trainers.errors import NothingToTrain
from trainers.metrics import ccc

NAN = float("nan")


def labels(rows: list[tuple[float, float, int]], units: int = 2) -> TaskLabels:
    """Valence, arousal, expression of rows; no action units."""
    made = TaskLabels.unknown(len(rows), units)
    made.va[:] = [row[:2] for row in rows]
    made.expression[:] = [row[2] for row in rows]
    return made


def test_the_filter_drops_what_contradicts_itself_and_nothing_else() -> None:
    given = labels(
        [
            (-0.1, 0.0, 4),  # happy, valence below 0
            (0.0, 0.0, 4),
            (0.1, 0.0, 5),  # sad, valence above 0
            (0.0, 0.3, 5),
            (0.4, 0.4, 0),  # neutral, longer than .5
            (0.3, 0.4, 0),  # exactly .5
            (0.9, 0.9, 3),
            (1.2, 0.0, -1),  # can't be
            (NAN, NAN, 4),  # an expression alone contradicts nothing
            (-0.9, 0.0, -1),
            (0.0, 0.0, 7),  # no class of seven
            (NAN, NAN, -1),
        ]
    )
    found = contradictions(given, 7)
    assert {rule: np.flatnonzero(rows).tolist() for rule, rows in found.items()} == {
        "range": [7, 10],
        "happy": [0],
        "sad": [2],
        "neutral": [4],
    }
    assert np.flatnonzero(broken(found)).tolist() == [0, 2, 4, 7, 10]
    kept = labelled_frames([given, given], 7, clean=True)
    assert kept.rows.tolist() == [1, 3, 5, 6, 8, 9] * 2
    assert kept.clips.tolist() == [0] * 6 + [1] * 6
    assert (kept.labelled, dict(kept.dropped)) == (
        22,
        {"range": 4, "happy": 2, "sad": 2, "neutral": 2},
    )
    given.impossible[[3, 11]] = True  # annotations that the adapter already took out
    assert contradictions(given, 7)["range"].nonzero()[0].tolist() == [3, 7, 10, 11]
    assert "10 of 22 labelled frames dropped (45.5%)" in kept.note()


def test_without_the_filter_only_labels_that_cannot_be_are_unknown() -> None:
    given = labels([(-0.1, 0.0, 4), (1.2, 0.3, 2), (0.5, 0.5, 9)])
    kept = possible(given, 7)
    assert kept.expression.tolist() == [4, 2, -1]
    np.testing.assert_array_equal(np.isfinite(kept.va), [[1, 1], [0, 0], [1, 1]])
    frames = labelled_frames([labels([(NAN, NAN, 9), (NAN, NAN, 2)])], 7, clean=False)
    assert frames.rows.tolist() == [1]
    with pytest.raises(NothingToTrain, match="no frame is left"):
        labelled_frames([labels([(NAN, NAN, -1)])], 7, clean=True)


def test_pseudo_values_come_from_the_histogram_anew_at_each_visit() -> None:
    rng = np.random.default_rng(3)
    happy = rng.uniform([0.5, -0.2], [0.7, 0.0], (4000, 2))
    sad = rng.uniform([-0.8, -0.5], [-0.6, -0.4], (2000, 2))
    rows = [(v, a, 4) for v, a in happy] + [(v, a, 5) for v, a in sad]
    histogram = Histogram(labels(rows), 7)
    assert histogram.counts.sum((1, 2)).tolist() == [0, 0, 0, 0, 4000, 2000, 0]

    asked = np.array([4] * 3000 + [5] * 3000 + [-1, 2])
    drawn = histogram.draw(asked, np.random.default_rng(0))
    again = histogram.draw(asked, np.random.default_rng(1))
    assert np.isnan(drawn[-2:]).all()
    assert not np.array_equal(drawn[:-2], again[:-2])
    np.testing.assert_array_equal(drawn, histogram.draw(asked, np.random.default_rng(0)))
    for part, real in ((drawn[:3000], happy), (drawn[3000:-2], sad)):
        np.testing.assert_allclose(part.mean(0), real.mean(0), atol=0.01)
        np.testing.assert_allclose(part.std(0), real.std(0), atol=0.01)


def test_soft_expressions_are_shares_of_the_bin() -> None:
    inside = [(0.01, 0.01, 0)] * 3 + [(0.09, 0.09, 4)] + [(0.5, 0.5, 4)]
    histogram = Histogram(labels([*inside, (0.01, 0.01, -1), (NAN, 0.0, 6)]), 7)
    shares = histogram.shares(np.array([[0.05, 0.05], [-0.9, 0], [NAN, 0]], np.float32))
    np.testing.assert_allclose(shares[0], [0.75, 0, 0, 0, 0.25, 0, 0])
    assert np.isnan(shares[1:]).all()
    edges = np.array([[-1, 1], [0, -0.001], [0.999, 0.1]], np.float32)
    assert bins_of(edges).tolist() == [[0, BINS - 1], [10, 9], [19, 11]]


@pytest.mark.parametrize("which", ["none", "V", "A", "E", "VA", "VAE"])
def test_only_what_is_asked_for_is_made_and_labels_stay(which: str) -> None:
    base = [(0.6, 0.1, 4), (-0.6, -0.1, 5), (0.6, 0.1, -1), (NAN, NAN, 4), (NAN, NAN, -1)]
    given = labels(base)
    histogram = Histogram(given, 7)
    va, shares = completed(given, histogram, which, np.random.default_rng(0))  # type: ignore[arg-type]
    np.testing.assert_array_equal(va[:3], given.va[:3])
    np.testing.assert_array_equal(np.isfinite(va[3]), ["V" in which, "A" in which])
    assert np.isnan(va[4]).all()
    assert shares[[0, 1, 3]].argmax(1).tolist() == [4, 5, 4]
    assert np.isfinite(shares[2]).all() == ("E" in which)
    assert np.isnan(shares[4]).all()


def test_the_loss_is_the_sum_of_each_tasks_mean_over_its_labels() -> None:
    torch.manual_seed(0)
    output = torch.randn(9, 17, dtype=torch.float64, requires_grad=True)
    shares = torch.full((9, 7), NAN, dtype=torch.float64)
    shares[:4] = torch.eye(7, dtype=torch.float64)[torch.tensor([0, 3, 6, 6])]
    shares[4] = torch.tensor([0.5, 0, 0, 0, 0, 0, 0.5])
    va = torch.rand(9, 2, dtype=torch.float64) * 2 - 1
    va[:3, 0], va[5:, 1] = NAN, NAN
    units = torch.full((9, 8), NAN, dtype=torch.float64)
    units[2:5] = torch.randint(0, 2, (3, 8)).double()

    x = output.detach().numpy()
    cross = -(shares[:5] * functional.log_softmax(output[:5, :7], 1)).sum().item() / 5
    first, second = ccc(x[3:, 7], va[3:, 0].numpy()), ccc(x[:5, 8], va[:5, 1].numpy())
    binary = functional.binary_cross_entropy_with_logits(output[2:5, 9:], units[2:5]).item()
    wanted = cross + 1 - (first + second) / 2 + binary
    loss = multi_task_loss(output, shares, va, units)
    assert loss.item() == pytest.approx(wanted, abs=1e-6)
    divided = multi_task_loss(output, shares, va, units, ccc_divide=True)
    apart = (1 - first) / 2 / 6 + (1 - second) / 2 / 5
    assert divided.item() == pytest.approx(cross + apart + binary, abs=1e-6)

    loss.backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    # a frame learns only from the tasks that it is labelled for
    assert output.grad[5:, :7].abs().max() == output.grad[:2, 9:].abs().max() == 0
    assert output.grad[:3, 7].abs().max() == output.grad[5:, 8].abs().max() == 0


def test_a_batch_without_labels_costs_nothing_and_moves_nothing() -> None:
    output = torch.randn(3, 17, requires_grad=True)
    nothing = [torch.full((3, n), NAN) for n in (7, 2, 8)]
    nothing[1][0] = 0.5  # one value has no concordance
    loss = multi_task_loss(output, *nothing)
    loss.backward()
    assert loss.item() == 0
    assert output.grad is not None
    assert output.grad.abs().max() == 0


def test_outputs_become_decisions_by_either_rule() -> None:
    output = np.zeros((2, 17), np.float32)
    output[0, 3], output[1, 6] = 2, 1
    output[0, 7:9] = 1.7, -0.4
    output[0, 9:12] = 0.1, 0.6, -0.1
    ours, theirs = decided(output, 7), decided(output, 7, "released")
    assert ours.expression.tolist() == [3, 6]
    np.testing.assert_allclose(ours.va[0], [1.0, -0.4])
    assert ours.units[0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert theirs.units[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


def test_the_score_is_the_mean_of_the_criteria_of_what_is_labelled() -> None:
    rng = np.random.default_rng(5)
    output = rng.normal(0, 0.5, (400, 17)).astype(np.float32)
    found = decided(output, 7)
    made = TaskLabels.unknown(400, 8)
    made.va[:300] = np.clip(output[:300, 7:9] + rng.normal(0, 0.3, (300, 2)), -1, 1)
    made.expression[100:] = rng.integers(0, 7, 300)
    made.units[50:200] = rng.integers(0, 2, (150, 8))
    scores = criteria(found, made, 7)
    assert scores["va"] == pytest.approx((scores["ccc_valence"] + scores["ccc_arousal"]) / 2)
    assert scores["ex"] == pytest.approx(0.67 * scores["ex_f1"] + 0.33 * scores["ex_accuracy"])
    assert scores["au"] == pytest.approx(0.5 * scores["au_f1"] + 0.5 * scores["au_accuracy"])
    assert scores["score"] == pytest.approx((scores["va"] + scores["ex"] + scores["au"]) / 3)
    assert scores["ccc_valence"] > 0.6
    made.units[:, 6] = np.nan  # a unit that the corpus doesn't have
    fewer = criteria(found, made, 7)
    assert fewer["au"] != scores["au"]
    assert fewer["ex"] == scores["ex"]
    made.units[:], made.va[:] = np.nan, np.nan
    only = criteria(found, made, 7)
    assert set(only) == {"ex", "ex_f1", "ex_accuracy", "score"}
    assert only["score"] == only["ex"]


def test_every_frame_is_seen_once_before_any_comes_again() -> None:
    epochs = [epoch_order(10, 4, 7, epoch) for epoch in range(5)]
    assert [len(e) for e in epochs] == [4] * 5
    line = np.concatenate(epochs)
    assert sorted(line[:10].tolist()) == sorted(line[10:].tolist()) == list(range(10))
    assert line[:10].tolist() != line[10:].tolist()
    np.testing.assert_array_equal(epoch_order(10, 10, 7, 1), line[10:])
    assert epoch_order(10, 25, 7, 0).tolist()[:20] == line.tolist()


def test_the_control_gives_every_clip_anothers_labels() -> None:
    clips = [labels([(i / 10, 0.0, i)] * (3 + i)) for i in range(4)]
    mixed = of_other_clips(clips, 0)
    assert [len(m) for m in mixed] == [3, 4, 5, 6]
    given = [m.expression[0] for m in mixed]
    assert sorted(given) == [0, 1, 2, 3]
    assert all(own != other for own, other in enumerate(given))
