"""The 714 columns of an OpenFace 2.x row, and the groups that they fall into.

Source: the header that FeatureExtraction of OpenFace 2.x writes with
``-2Dfp -3Dfp -pdmparams -pose -gaze -aus``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: points of the face, of both eyes, and parameters of the face's shape (PDM modes)
FACE_POINTS, EYE_POINTS, SHAPE_MODES = 68, 56, 34

#: facial action units with an intensity (0 to 5); AU28 has presence (0 or 1) alone
INTENSITY_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
PRESENCE_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)


def _points(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """``x_0 … x_<count-1> y_0 …``: all of one axis, then all of the next."""
    return tuple(f"{name}_{i}" for name in names for i in range(count))


_BY_GROUP: dict[str, tuple[str, ...]] = {
    "bookkeeping": ("frame", "face_id", "timestamp", "confidence", "success"),
    "gaze": (
        *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
        *(f"gaze_angle_{axis}" for axis in "xy"),
    ),
    "eye_landmarks": _points(tuple(f"eye_lmk_{axis}" for axis in "xyXYZ"), EYE_POINTS),
    "pose": tuple(f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz"),
    "landmarks": _points(tuple("xyXYZ"), FACE_POINTS),
    "pdm": (
        "p_scale",
        *(f"p_r{axis}" for axis in "xyz"),
        *(f"p_t{axis}" for axis in "xy"),
        *_points(("p",), SHAPE_MODES),
    ),
    "au_r": tuple(f"AU{unit:02d}_r" for unit in INTENSITY_UNITS),
    "au_c": tuple(f"AU{unit:02d}_c" for unit in PRESENCE_UNITS),
}


def _bounds() -> dict[str, tuple[int, int]]:
    found, start = {}, 0
    for name, columns in _BY_GROUP.items():
        found[name] = (start, start + len(columns))
        start += len(columns)
    return found


#: every column, in the order in which OpenFace writes them
COLUMNS_714: tuple[str, ...] = tuple(c for columns in _BY_GROUP.values() for c in columns)

#: group -> [start, stop) in ``COLUMNS_714``; each group is one run of columns
GROUPS: Mapping[str, tuple[int, int]] = MappingProxyType(_bounds())

#: the same as a feature's declaration has it
COLUMN_GROUPS = tuple((name, start, stop) for name, (start, stop) in GROUPS.items())

#: what each group's values are measured in
GROUP_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "bookkeeping": "frame: number from 1; timestamp: s; confidence: 0 to 1; success: 0 or 1",
        "gaze": "unit vectors; angles: rad",
        "eye_landmarks": "x y: px; X Y Z: mm",
        "pose": "T: mm; R: rad",
        "landmarks": "x y: px; X Y Z: mm",
        "pdm": "scale; rotation: rad; translation: px; modes: standard units of the shape model",
        "au_r": "intensity, 0 to 5",
        "au_c": "presence, 0 or 1",
    }
)
