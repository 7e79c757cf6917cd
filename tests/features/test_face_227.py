"""face_227: the square that ExpNet's authors cut."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from features.face_227 import SIDE, Face227, cut
from features.spec import Rows
from tests.features.face_frames import batch_of

RNG = np.random.default_rng(0)
FRAME = cv2.GaussianBlur(RNG.integers(0, 256, (120, 160, 3), np.uint8), (0, 0), 3)
BOXES = {
    "inside": (40.3, 30.2, 81.9, 78.4),
    "left of the frame": (-12.7, 20.0, 30.1, 70.2),
    "over the right and lower border": (120.4, 80.6, 171.5, 130.9),
    "over every border": (-30.0, -20.5, 190.2, 140.1),
    "whole pixels": (50.0, 40.0, 90.0, 80.0),
}


def as_published(frame: Any, box: tuple[float, ...]) -> Any:
    """The published steps one after the other: square, grow, widen the frame, round up, cut."""
    height, width = frame.shape[:2]
    half = max(box[2] - box[0], box[3] - box[1]) / 2
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    square = np.float32([middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half])
    side = square[2:] - square[:2]
    grown = np.concatenate([square[:2] - side * 0.25, square[:2] + side * 1.25]).astype(np.float32)
    left, top = (max(math.ceil(-v), 0) for v in grown[:2])
    right = max(math.ceil(grown[2] - width + 1), 0)
    bottom = max(math.ceil(grown[3] - height + 1), 0)
    wide = cv2.copyMakeBorder(frame, top, bottom, left, right, cv2.BORDER_CONSTANT)
    x0, y0, x1, y1 = np.ceil(grown + np.float32([left, top, left, top])).astype(int)
    longer = max(x1 - x0, y1 - y0)
    return wide[y0 : y0 + longer, x0 : x0 + longer]


@pytest.mark.parametrize("box", BOXES.values(), ids=list(BOXES))
def test_the_square_is_the_published_one(box: tuple[float, ...]) -> None:
    expected = as_published(FRAME, box)
    found = cut(FRAME, np.array(box, np.float32))
    # boxes are stored as float32
    assert np.array_equal(found, as_published(FRAME, tuple(np.float32(box).tolist())))
    assert found is not None
    assert abs(found.shape[0] - expected.shape[0]) <= 1


def test_rows_are_crops_of_227_and_black_without_a_face() -> None:
    extractor = Face227(Face227.Params())
    extractor.setup("cpu")
    values = np.zeros((4, 15), np.float32)
    values[0, :4], values[1] = BOXES["inside"], np.nan
    values[2, :4] = (30, 30, 30, 30)
    values[3, :4] = (0, 0, 9e5, 9e5)
    found = extractor.extract(
        batch_of(np.stack([FRAME] * 4), box=Rows(values, np.array([True, False, True, True])))
    )
    assert found.values.shape == (4, SIDE, SIDE, 3)
    assert found.values.dtype == np.uint8
    assert found.valid.tolist() == [True, False, False, False]
    assert not found.values[1:].any()
    piece = as_published(FRAME, tuple(np.float32(BOXES["inside"]).tolist()))
    resized = cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(found.values[0], resized)


def test_no_frames_make_no_rows() -> None:
    extractor = Face227(Face227.Params())
    none = batch_of(
        np.zeros((0, 90, 120, 3), np.uint8),
        box=Rows(np.zeros((0, 15), np.float32), np.zeros(0, bool)),
    )
    assert extractor.extract(none).values.shape == (0, SIDE, SIDE, 3)
