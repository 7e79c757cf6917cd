"""faces beside PyPI's mtcnn under TensorFlow: the same faces, boxes drawn by another rule.

Both take Zhang et al.'s networks. Ours follow facenet-pytorch 2.6.0 bit by bit (test_mtcnn_parity):
areas are averaged where mtcnn interpolates between pixels, cells lie a pixel further, boxes aren't
rounded to whole pixels. So boxes overlap by .92 on average, and a third of them by less than .9,
though both find the same people. What can be asked is that nobody is missed or added.

With ``rule=mtcnn`` its own steps are taken: every box is met, to the whole pixels it is written in.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from features.faces import Faces, published
from features.mtcnn.detector import Detector
from features.spec import Rows
from features.tracking.link import overlaps
from tests.features.face_frames import batch_of
from tests.features.tensorflow_goldens import GOLDEN, frames

#: a face that both are sure of
SURE = 0.9
SAME_FACE, ON_AVERAGE = 0.85, 0.91


@pytest.fixture(scope="module")
def shared() -> dict[str, list[float]]:
    """Frame -> overlap of each of mtcnn's sure boxes with the nearest of ours, and of ours."""
    golden = json.loads(GOLDEN.read_text())["frames"]
    detector = Detector("cpu", min_face=20, thresholds=(0.6, 0.7, 0.7), factor=0.709)
    found = {}
    for name, frame in frames():
        values, _ = published(detector.detect(frame[None]))
        ours = values[values[:, 4] >= SURE, :4].astype(np.float64)
        boxes = [f["box"] for f in golden[name] if f["score"] >= SURE]
        assert len(ours) == len(boxes), f"{name}: {len(ours)} faces, mtcnn has {len(boxes)}"
        if boxes:
            pairs = overlaps(np.array(boxes)[:, None], ours[None])
            found[name] = [*pairs.max(0).tolist(), *pairs.max(1).tolist()]
    return found


@pytest.fixture(scope="module")
def by_its_rule() -> dict[str, NDArray[np.float32]]:
    """Frame -> our detections under ``rule=mtcnn``."""
    faces = Faces(Faces.Params(rule="mtcnn"))
    faces.setup("cpu")
    made = {}
    for name, frame in frames():
        rows = faces.extract(batch_of(frame[None]))
        made[name] = np.asarray(rows.values, np.float32)
    return made


def test_under_its_own_rule_every_box_and_score_is_met(
    by_its_rule: dict[str, NDArray[np.float32]],
) -> None:
    golden = json.loads(GOLDEN.read_text())["frames"]
    for name, ours in by_its_rule.items():
        assert len(ours) == len(golden[name]), name
        for face in golden[name]:
            shared = overlaps(np.array(face["box"], np.float64), ours[:, :4].astype(np.float64))
            nearest = ours[shared.argmax()]
            # mtcnn writes whole pixels
            assert np.abs(nearest[:4] - face["box"]).max() <= 1, name
            assert abs(nearest[4] - face["score"]) <= 1e-3, name


def test_under_its_own_rule_nine_tenths_are_shared(
    by_its_rule: dict[str, NDArray[np.float32]],
) -> None:
    golden = json.loads(GOLDEN.read_text())["frames"]
    shared = [
        overlaps(np.array(face["box"], np.float64), by_its_rule[name][:, :4]).max()
        for name, faces in golden.items()
        for face in faces
    ]
    assert len(shared) >= 19
    assert np.mean(np.array(shared) >= 0.9) >= 0.95


def test_under_its_own_rule_frames_dont_depend_on_each_other() -> None:
    faces = Faces(Faces.Params(rule="mtcnn"))
    faces.setup("cpu")
    several = [frame for _, frame in frames() if frame.shape == (240, 240, 3)]
    together = faces.extract(batch_of(np.stack(several)))
    alone = Rows.concat([faces.extract(batch_of(frame[None])) for frame in several])
    assert np.array_equal(together.values, alone.values)
    assert np.array_equal(np.asarray(together.offsets), np.asarray(alone.offsets))


def test_every_face_is_found_and_no_other(shared: dict[str, list[float]]) -> None:
    assert sum(map(len, shared.values())) >= 30
    weakest = {name: min(values) for name, values in shared.items()}
    assert min(weakest.values()) >= SAME_FACE, weakest


def test_boxes_overlap_by_more_than_nine_tenths_on_average(
    shared: dict[str, list[float]],
) -> None:
    assert np.mean([v for values in shared.values() for v in values]) >= ON_AVERAGE
