"""Predictions per frame are rows like any others, and take the room of their arrays alone."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np

from flows.recipe import write_predictions
from trainers.frame_rows import ClipFrames, FrameRows
from trainers.recipe import Predictions, Sheet

VALENCE = np.array([0.25, -1.0, 0.3333333], np.float32)
EXPRESSION = np.array([4, 0, 6], np.int64)
CLIPS = (
    ClipFrames("one", (VALENCE, EXPRESSION), 3),
    ClipFrames("empty", (VALENCE[:0], EXPRESSION[:0]), 0),
    ClipFrames("two", (None, EXPRESSION[:2]), 2),
)
ROWS = [
    ("one", 0, "0.250000", 4),
    ("one", 1, "-1.000000", 0),
    ("one", 2, "0.333333", 6),
    ("two", 0, None, 4),
    ("two", 1, None, 0),
]


def test_rows_are_in_order_of_clip_and_frame_and_can_be_asked_for_alone() -> None:
    rows = FrameRows(CLIPS)
    assert list(rows) == ROWS
    assert len(rows) == len(ROWS)
    assert [rows[i] for i in range(-5, 5)] == ROWS + ROWS
    assert rows[1:4] == ROWS[1:4]
    assert len(FrameRows([])) == 0


def test_each_task_has_a_file_per_clip_that_is_of_it(tmp_path: Path) -> None:
    sheets = {
        "VA": Sheet(("valence",), ("valence",)),
        "EX": Sheet(("Neutral", "Anger"), ("expression",)),
    }
    found = Predictions(("clip", "frame", "valence", "expression"), FrameRows(CLIPS), (), sheets)
    assert write_predictions(found, tmp_path) == 3
    files = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*.txt")}
    assert files == {
        "VA/one.txt": "valence\n0.250000\n-1.000000\n0.333333\n",
        "EX/one.txt": "Neutral,Anger\n4\n0\n6\n",
        "EX/two.txt": "Neutral,Anger\n4\n0\n",
    }


def test_a_folder_with_a_point_in_its_name_is_one(tmp_path: Path) -> None:
    found = Predictions(("clip", "class"), [("one", "sad")])
    (tmp_path / "run.2").mkdir()
    write_predictions(found, tmp_path / "run.2")
    assert (tmp_path / "run.2" / "one.txt").read_text() == "sad\n"
    write_predictions(found, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == "clip,class\none,sad\n"


def test_no_row_is_held_while_they_are_written(tmp_path: Path) -> None:
    frames = 20_000
    column = np.linspace(-1, 1, frames)
    clips = [ClipFrames(f"clip {i}", (column, column), frames) for i in range(10)]
    found = Predictions(("clip", "frame", "valence", "arousal"), FrameRows(clips))
    tracemalloc.start()
    write_predictions(found, tmp_path / "p.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(1 for _ in (tmp_path / "p.csv").open()) == 1 + 10 * frames
    # one clip's cells at a time, not ten clips' rows
    assert peak < 4 * frames * sys.getsizeof("-1.000000")
