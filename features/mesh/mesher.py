"""From a frame, a box and two eyes to the 478 points of a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features import weights
from features.mesh import points as at
from features.mesh.network import Network
from features.mesh.squares import (
    Points,
    Square,
    crop,
    round_points,
    square_of,
    to_frame,
    usable,
)

#: side of the square that the face network wants, by the longer side of its points' box
#: (MediaPipe's face landmark graph)
FACE_SCALE = 1.5
#: the same square from MTCNN's box: its side by the box's longer side, and how far its centre
#: lies below the box's, by the same measure; medians of 340 frames of seven real clips [ours]
BOX_SCALE, BOX_DOWN = 1.33, 0.045
#: side of the square that the iris network wants, by the distance of the eye's corners
#: (MediaPipe's iris landmark graph)
EYE_SCALE = 2.3


class Mesher:
    """The two networks, and how they follow each other.

    Args:
        passes: how often the face network runs; each pass but the first looks at the square
            round the points that the one before it found.

    Raises:
        MissingWeights, WeightsDamaged, ToolMissing.
    """

    def __init__(self, *, passes: int) -> None:
        self.passes = passes
        self.face = Network(weights.read("face-mesh")[0])
        self.eye = Network(weights.read("iris")[0])

    def mesh(
        self, frame: NDArray[np.uint8], box: NDArray[np.float64], eyes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], float]:
        """The points of one face.

        Args:
            frame: uint8 ``(height, width, 3)`` RGB; box: x0 y0 x1 y1; eyes ``(2, 2)``: the
                image's left one, then the right one; NaN: unknown, the face is taken for upright.

        Returns:
            float32 ``(478, 3)`` in px, NaN where the points span no square; the probability of a
            face in the last square, 0 to 1.
        """
        made = np.full((at.MESH_POINTS, 3), np.nan, np.float32)
        square = square_of_box(box, eyes)
        score = 0.0
        for _ in range(self.passes):
            if not usable(square):
                return np.full_like(made, np.nan), 0.0
            raw, logit = self.face.run(crop(frame, square, self.face.size))
            face = to_frame(raw.reshape(-1, 3), square, self.face.size)
            score = 1 / (1 + float(np.exp(-np.float64(logit[0]))))
            square = round_points(face, FACE_SCALE, face[at.LEFT_OUTER], face[at.RIGHT_OUTER])
        made[: at.FACE_POINTS] = face
        self._eye(frame, made, face, at.LEFT_EYE_REGION, at.LEFT_IRIS, mirrored=False)
        self._eye(frame, made, face, at.RIGHT_EYE_REGION, at.RIGHT_IRIS, mirrored=True)
        return made, score

    def _eye(
        self,
        frame: NDArray[np.uint8],
        made: NDArray[np.float32],
        face: Points,
        region: NDArray[np.int64],
        iris: int,
        *,
        mirrored: bool,
    ) -> None:
        """Write one eye's region and iris into ``made``; depths stay those of the face."""
        outer, inner = face[region[0]], face[region[8]]
        corners = (inner, outer) if mirrored else (outer, inner)
        square = round_points(np.stack(corners), EYE_SCALE, *corners)
        if not usable(square):
            return
        size = self.eye.size
        image = crop(frame, square, size)
        contour, rim = self.eye.run(np.ascontiguousarray(image[:, ::-1]) if mirrored else image)
        found = np.concatenate([contour, rim]).reshape(-1, 3)
        if mirrored:
            found[:, 0] = size - found[:, 0]
        placed = to_frame(found, square, size)[:, :2]
        made[region, :2] = placed[: len(region)]
        # centre, then the edge as the network names it: image right, up, left, down
        order = [0, 3, 2, 1, 4] if mirrored else [0, 1, 2, 3, 4]
        made[iris : iris + at.IRIS_POINTS, :2] = placed[len(region) :][order]
        made[iris : iris + at.IRIS_POINTS, 2] = face[region[: at.LID_POINTS], 2].mean()


def square_of_box(box: NDArray[np.float64], eyes: NDArray[np.float64]) -> Square:
    """The square that the face network wants, guessed from a box of MTCNN's and the eyes."""
    if not np.isfinite(eyes).all():
        eyes = np.array([[0.0, 0.0], [1.0, 0.0]])
    low, high = box[:2], box[2:]
    long_side = float((high - low).max())
    upright = square_of((low + high) / 2, BOX_SCALE * long_side, eyes[0], eyes[1])
    down = np.array([-np.sin(upright[3]), np.cos(upright[3])])
    upright[:2] += BOX_DOWN * long_side * down
    return upright
