"""Faces by dlib's HOG detector, with points from its five-point predictor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.align import similarity
from features.dlib.chip import MEAN_FACE
from features.dlib.package import MISSING
from features.errors import ToolMissing
from features.mtcnn.detector import Detections

#: which of the predictor's points make the left and the right eye: the corners, outer and inner
LEFT_EYE, RIGHT_EYE, NOSE_BASE = (2, 3), (0, 1), 4
#: left eye, right eye and the nose's base of the mean face, in widths of the face: of the
#: predictor's points in dlib's get_face_chip (dlib 20, image_transforms/interpolation.h)
MEAN_THREE = np.array([(0.2273300, 0.2214008), (0.7528138, 0.2212328), (0.4901123, 0.6277975)])
#: a margin of 0, where dlib draws the line, is published as .9, so that face_track's least score
#: takes all that dlib takes; greater ones go to 1 as the logistic function does (ours)
LOGIT_AT_MARGIN_0 = np.log(9.0)


class Hog:
    """dlib's frontal face detector, on the CPU.

    Args:
        predictor: path of shape_predictor_5_face_landmarks.dat.
        upsample: how often a frame is doubled first; without it faces begin at 80 px.

    Raises:
        ToolMissing: dlib isn't installed.
    """

    def __init__(self, predictor: str, upsample: int) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ToolMissing(f"faces.backend=dlib: {MISSING}") from error
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(predictor)
        self._upsample = upsample

    def detect(self, frames: NDArray[np.uint8]) -> Detections:
        """All faces of uint8 RGB frames ``(n, height, width, 3)``."""
        owners, boxes, margins, corners = [], [], [], []
        for i, frame in enumerate(np.ascontiguousarray(frames)):
            rectangles, scores, _ = self._detector.run(frame, self._upsample, 0.0)
            for rectangle, margin in zip(rectangles, scores, strict=True):
                owners.append(i)
                margins.append(margin)
                # dlib's rectangles hold their last pixel
                boxes.append((rectangle.left(), rectangle.top(),
                              rectangle.right() + 1, rectangle.bottom() + 1))  # fmt: skip
                parts = self._predictor(frame, rectangle).parts()
                corners.append([(part.x, part.y) for part in parts])
        scores = 1 / (1 + np.exp(-(np.array(margins, np.float64) + LOGIT_AT_MARGIN_0)))
        return Detections(
            frames=np.array(owners, np.int64),
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            scores=scores.astype(np.float32),
            points=five_points(np.array(corners, np.float64).reshape(-1, 5, 2)),
        )


def five_points(corners: NDArray[np.float64]) -> NDArray[np.float32]:
    """Both eyes, nose and corners of the mouth from the predictor's points, float32 ``(n, 5, 2)``.

    Eyes are the middles of their corners. The tip of the nose and the mouth, which the predictor
    doesn't know, are those of the mean face, laid over eyes and nose.
    """
    three = np.stack(
        [corners[:, LEFT_EYE].mean(1), corners[:, RIGHT_EYE].mean(1), corners[:, NOSE_BASE]], 1
    )
    points = np.empty((len(corners), 5, 2))
    points[:, :2] = three[:, :2]
    for face, found in zip(points, three, strict=True):
        onto = similarity(MEAN_THREE[None], found)[0]
        face[2:] = MEAN_FACE[2:] @ onto[:, :2].T + onto[:, 2]
    return points.astype(np.float32)
