"""Where the pieces of sound lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.segments import is_even, lay_segments

RATE = 22_050


def test_half_overlapping_segments_fill_the_whole() -> None:
    # 3 frames, 1 s each: hop 3/4 s, window 3/2 s.
    segments = lay_segments(np.array([0.0, 1.0, 2.0]), 1.0, 1000, "uniform")
    assert segments.starts.tolist() == [0, 750, 1500]
    assert (segments.length, segments.total) == (1500, 3000)


@given(
    frames=st.integers(1, 3000),
    fps=st.sampled_from([10.0, 12.0, 23.976, 25.0, 29.97, 30.0, 60.0]),
    first=st.floats(-5, 100),
)
def test_on_even_frames_both_placements_agree_to_a_sample(
    frames: int, fps: float, first: float
) -> None:
    times = first + np.arange(frames) / fps
    by_hop = lay_segments(times, 1 / fps, RATE, "uniform")
    by_time = lay_segments(times, 1 / fps, RATE, "timeline")
    assert np.abs(by_hop.starts - by_time.starts).max() <= 1
    assert (
        by_hop.length
        == by_time.length
        == pytest.approx(2 * frames / fps / (frames + 1) * RATE, abs=1)
    )
    assert is_even(times, 1 / fps)
    assert by_hop.starts[-1] + by_hop.length <= by_hop.total + 1


def test_frames_of_varying_rate_take_their_segments_with_them() -> None:
    times = np.concatenate([np.arange(30) / 15, 2 + np.arange(60) / 30])
    assert not is_even(times, 1 / 30)
    auto = lay_segments(times, 1 / 30, RATE, "auto")
    assert np.array_equal(auto.starts, lay_segments(times, 1 / 30, RATE, "timeline").starts)
    middles = (auto.starts + auto.length / 2) / RATE
    assert np.abs(middles - (times + 1 / 45)).max() < 0.05
    even = lay_segments(times, 1 / 30, RATE, "uniform")
    assert np.ptp(np.diff(even.starts)) <= 1


@pytest.mark.parametrize(
    ("times", "even"),
    [
        (np.zeros(1), True),
        (np.array([0.0, 5.0]), True),
        (np.round(np.arange(300) / 29.97, 3), True),
        (np.delete(np.arange(300) / 25.0, 290), False),
        (np.arange(300) / 25.0 + (np.arange(300) > 150) * 0.2, False),
        (np.cumsum(np.tile([1 / 30, 1 / 15, 1 / 15], 40)), True),
        (np.concatenate([np.arange(90) / 30, 3 + np.arange(72) / 24]), False),
    ],
)
def test_even_means_within_half_an_interval_of_a_grid(
    times: np.ndarray[tuple[int], np.dtype[np.float64]], even: bool
) -> None:
    last = float(times[-1] - times[-2]) if len(times) > 1 else 1.0
    assert is_even(times, last) is even


@pytest.mark.parametrize(("held", "even"), [(0.1, True), (1.4, True), (1.6, False), (75.0, False)])
def test_a_last_frame_that_is_held_keeps_no_other_from_its_segment(held: float, even: bool) -> None:
    times = 3 + np.arange(50) / 25
    assert is_even(times, held / 25) is even
    segments = lay_segments(times, held / 25, RATE, "auto")
    assert np.abs(segments.starts / RATE - (times - 3) * 50 / 51).max() < 1 / 25
