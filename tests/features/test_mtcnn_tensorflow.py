"""faces beside PyPI's mtcnn under TensorFlow: the same faces, boxes drawn by another rule.

Both take Zhang et al.'s networks. Ours follow facenet-pytorch 2.6.0 bit by bit (test_mtcnn_parity):
areas are averaged where mtcnn interpolates between pixels, cells lie a pixel further, boxes aren't
rounded to whole pixels. So boxes overlap by .92 on average, and a third of them by less than .9,
though both find the same people. What can be asked is that nobody is missed or added.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from features.faces import published
from features.mtcnn.detector import Detector
from features.tracking.link import overlaps
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


def test_every_face_is_found_and_no_other(shared: dict[str, list[float]]) -> None:
    assert sum(map(len, shared.values())) >= 30
    weakest = {name: min(values) for name, values in shared.items()}
    assert min(weakest.values()) >= SAME_FACE, weakest


def test_boxes_overlap_by_more_than_nine_tenths_on_average(
    shared: dict[str, list[float]],
) -> None:
    assert np.mean([v for values in shared.values() for v in values]) >= ON_AVERAGE
