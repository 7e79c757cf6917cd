"""face_227: the square round the main face's box that ExpNet's authors cut."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from features.aligned_face import Crops, crop_spec
from features.box_size import too_large
from features.errors import RequestError
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec

SIDE = 227
#: the square grows on every side by this share of its side (the authors' code)
MARGIN = np.float32(0.25)


@extractor(
    name="face_227",
    version=1,
    inputs={"box": "face_track"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Face227(Crops):
    """The square round the main face's box that ExpNet's authors cut, 227 x 227.

    One row per frame, uint8 ``(227, 227, 3)`` RGB: the square of the box's longer side about its
    centre, grown by a quarter of it on every side, corners rounded up to whole pixels; black
    outside the frame; scaled bicubically. The authors wrote it as a JPEG in between, which isn't
    done here. Chang et al., FG 2018; the extractor expnet reads it with crop=authors. A frame
    without a face, or with a box of more than four times its longer side, is black and invalid.
    """

    class Params(BaseParams):
        """Nothing changes the square but its box."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("face_227", SIDE, SIDE, "square round the main face's box, as ExpNet cuts it"),
    )

    def crops(self, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Each from its own box alone."""
        frames = self.frames(batch)
        boxes = batch.inputs["box"]
        if boxes.values.ndim != 2 or boxes.values.shape[1] < 4:
            raise RequestError("face_227.box needs rows that begin with x0 y0 x1 y1: face_track")
        crops = np.zeros((len(frames), SIDE, SIDE, 3), np.uint8)
        sides = np.ptp(boxes.values[:, :4].reshape(-1, 2, 2), axis=1).max(1)
        valid = boxes.valid & ~too_large(sides, *frames.shape[1:3])
        for i in np.flatnonzero(valid):
            box = boxes.values[i, :4]
            piece = cut(frames[i], box) if np.isfinite(box).all() else None
            valid[i] = piece is not None
            if piece is not None:
                crops[i] = cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        return crops, valid


def cut(frame: NDArray[np.uint8], box: NDArray[np.generic]) -> NDArray[np.uint8] | None:
    """The authors' square of a frame, before scaling; None if nothing of it can be cut.

    Where it stands out over the frame, the frame is first widened by black to the whole pixels
    that it needs, as the authors do; the corners are rounded up in the widened frame.
    """
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = (float(v) for v in np.asarray(box, np.float64))
    half = max(x1 - x0, y1 - y0) / 2
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    low, high = (centre - half).astype(np.float32), (centre + half).astype(np.float32)
    side = high - low
    low, high = low - side * MARGIN, low + side * (1 + MARGIN)
    before = np.maximum(np.ceil(-low), 0).astype(int)
    after = np.maximum(np.ceil(high - [width, height] + 1), 0).astype(int)
    first = np.ceil(low + before).astype(int)
    last = first + int((np.ceil(high + before).astype(int) - first).max())
    last = np.minimum(last, np.array([width, height]) + before + after)
    if (last <= first).any():
        return None
    out = np.zeros((last[1] - first[1], last[0] - first[0], 3), np.uint8)
    # the part of the square that lies within the frame, in the frame's own pixels
    low_in, high_in = np.maximum(first - before, 0), np.minimum(last - before, [width, height])
    if (high_in > low_in).all():
        at = low_in - (first - before)
        rows, columns = high_in[1] - low_in[1], high_in[0] - low_in[0]
        out[at[1] : at[1] + rows, at[0] : at[0] + columns] = frame[
            low_in[1] : high_in[1], low_in[0] : high_in[0]
        ]
    return out
