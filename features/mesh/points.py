"""Which of the 478 mesh points is what; left and right are the image's.

Source: the landmark tables of MediaPipe's face mesh and iris models (Apache-2.0).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: points of the face network; with 5 of each iris: left 468-472, right 473-477
FACE_POINTS, IRIS_POINTS, MESH_POINTS = 468, 5, 478

#: corners of the eyes: outer and inner of the left, inner and outer of the right
LEFT_OUTER, LEFT_INNER, RIGHT_INNER, RIGHT_OUTER = 33, 133, 362, 263

#: centre of each iris; the next four are its edge: towards image right, up, left, down
LEFT_IRIS, RIGHT_IRIS = 468, 473

#: mesh points, by mirror pairs, that the iris network's 71 points of a left eye and of a mirrored
#: right eye stand for: lower lid, upper lid, and seven rings round them up to the brow
LEFT_EYE_REGION = np.array(
    [
        *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
        *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190),
        *(226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189),
        *(35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245),
        *(156, 70, 63, 105, 66, 107, 55, 193),
    ]
)
RIGHT_EYE_REGION = np.array(
    [
        *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
        *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414),
        *(446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413),
        *(265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465),
        *(383, 300, 293, 334, 296, 336, 285, 417),
    ]
)
#: how many of a region's first points are the lids' edge
LID_POINTS = 16

#: mesh points, one or the mean of two, of each of the 68 landmarks: the correspondence published
#: by P. Yan, "Mediapipe_2_Dlib_Landmarks" (2024); but 13, for which it has 361 alone, is made as
#: its mirror 3 is: a mirrored face has mirrored landmarks [ours]
_TO_68: tuple[tuple[int, ...], ...] = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,)),
    *((400,), (379,), (365,), (397, 288), (361, 288), (323,), (454,), (356,)),
    *((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,)),
    *((168, 6), (197, 195), (5,), (4,), (75,), (97,), (2,), (326,), (305,)),
    *((33,), (160,), (158,), (133,), (153,), (144,)),
    *((362,), (385,), (387,), (263,), (373,), (380,)),
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,)),
    *((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,)),
)
TO_68 = np.array([(pair[0], pair[-1]) for pair in _TO_68])


def to_68(mesh: NDArray[np.floating]) -> NDArray[np.floating]:
    """The 68 landmarks ``(…, 68, d)`` of mesh points ``(…, 478, d)``."""
    return (mesh[..., TO_68[:, 0], :] + mesh[..., TO_68[:, 1], :]) / 2
