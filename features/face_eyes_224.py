"""face_eyes_224: the main face with its outer eye corners at fixed places, 224 px square."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.aligned_face import AlignedFace, crop_spec
from features.errors import RequestError
from features.extractor import extractor
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec

#: the outer corners of the left and the right eye, of the 68 landmarks
OUTER_CORNERS_68 = (36, 45)

#: where they go, x and y in px: level, half the crop apart, so that brows and chin of most faces
#: stay within [ours]
EYE_CORNERS_224 = np.array([(56.0, 72.0), (168.0, 72.0)])


@extractor(
    name="face_eyes_224",
    version=1,
    inputs={"points": "landmarks_68"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class FaceEyes224(AlignedFace):
    """The main face, turned and scaled so that the outer eye corners lie at fixed places.

    One row per frame, uint8 ``(224, 224, 3)`` RGB: the frame under the similarity transform that
    brings landmark 36 to (56, 72) and 45 to (168, 72), bicubic, black outside the frame. A frame
    without a face is black and invalid. guo2018 fixes the eye corners by dlib's landmarks
    (``--set landmarks_68.backend=dlib``) and names no places: they are ours. OpenFace's own
    aligned faces fit all points of its shape model instead; a wide-open mouth moves those.
    """

    takes_detections = False
    template = EYE_CORNERS_224
    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("face_eyes_224", 224, 224, "main face, outer eye corners at fixed places"),
    )

    def points(self, rows: NDArray[np.generic]) -> NDArray[np.float64]:
        """The two corners of each row.

        Raises:
            RequestError: rows of something else than 68 landmarks.
        """
        if rows.shape[1:] != (68, 2):
            raise RequestError(
                f"no eye corners in rows of shape {rows.shape[1:]}; "
                "bind face_eyes_224.points to landmarks_68"
            )
        return rows[:, OUTER_CORNERS_68].astype(np.float64)
