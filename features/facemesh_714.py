"""facemesh_714: OpenFace's 714 columns as far as face mesh, irises and head pose can fill them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from features.errors import RequestError
from features.extractor import Batch, Params, extractor
from features.media.tools import DECODE_VERSION
from features.openface_columns import COLUMNS_714, EYE_POINTS, GROUP_UNITS, GROUPS
from features.spec import FeatureSpec, Rows

#: group of columns -> where its values come from
PROVENANCE: Mapping[str, str] = MappingProxyType(
    {
        "bookkeeping": "frame from 1; face_id 0; timestamp: the timeline's, container seconds; "
        "confidence: face_mesh_score; success 1",
        "gaze": "the feature gaze (irises of face_mesh on a mean eyeball)",
        "eye_landmarks": "iris edge (0-7) and lids (8-19) of face_mesh, for each eye; depth from "
        "face_mesh and head_pose; pupils (20-27): NaN, the mesh sees none",
        "pose": "the feature head_pose (solvePnP on 15 landmarks of a mean head)",
        "landmarks": "68 points of face_mesh; depth from face_mesh and head_pose",
        "pdm": "NaN: parameters of OpenFace's own shape model",
        "au_r": "NaN: not estimated",
        "au_c": "NaN: not estimated",
    }
)
_SHAPES = {"mesh": (478, 3), "score": (), "pose": (9,), "gaze": (8,)}
#: points of one eye; 8 of the pupil follow
IRIS_EDGE, LIDS = 8, 12


@extractor(
    name="facemesh_714",
    version=2,
    inputs={
        "mesh": "face_mesh",
        "score": "face_mesh_score",
        "pose": "head_pose",
        "gaze": "gaze",
    },
    reads="video",
    pixels=False,
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Facemesh714:
    """OpenFace's 714 columns without OpenFace; what can't be had honestly is NaN.

    One row per frame, float32 ``(714,)``, names, order and units of an OpenFace 2.x row. Not
    OpenFace's numbers: gaze, pose and landmarks are those of the features of these names, eye
    landmarks those of ``face_mesh``; pupils, shape parameters and action units (155 columns) are
    NaN in every row. ``PROVENANCE`` says for each group where its values come from, and
    docs/landmarks.md how they differ. A frame without a mesh or a pose is all NaN and invalid,
    where OpenFace repeats its last guess with success 0. The timestamp is the timeline's, in
    container seconds; OpenFace divides the frame's number by the mean rate.
    """

    class Params(Params):
        """Everything is a parameter of what it reads."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="facemesh_714",
            rate="frame",
            dims=(len(COLUMNS_714),),
            dtype="float32",
            columns=COLUMNS_714,
            units="; ".join(f"{group}: {units}" for group, units in GROUP_UNITS.items()),
            description="OpenFace's columns from mesh, irises and head pose; AU and shape NaN",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """The columns of the batch's rows.

        Raises:
            RequestError: a slot holds something else.
        """
        for slot, shape in _SHAPES.items():
            if batch.inputs[slot].values.shape[1:] != shape:
                raise RequestError(
                    f"facemesh_714.{slot} needs rows of shape {shape}, not "
                    f"{batch.inputs[slot].values.shape[1:]}; bind it to {self._default(slot)}"
                )
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        made = self.outputs[0].invalid(len(batch.times), t0=t0)
        filled = np.all([rows.valid for rows in batch.inputs.values()], 0)
        values = {slot: rows.values.astype(np.float64) for slot, rows in batch.inputs.items()}
        for i in np.flatnonzero(filled):
            row, number = made.values[i], batch.numbers[i] + 1
            kept = (number, 0, batch.times[i], values["score"][i], 1)
            row[slice(*GROUPS["bookkeeping"])] = kept
            row[slice(*GROUPS["gaze"])] = values["gaze"][i]
            row[slice(*GROUPS["pose"])] = values["pose"][i, :6]
            eyes, face = points_of(values["mesh"][i], values["pose"][i])
            row[slice(*GROUPS["eye_landmarks"])] = eyes
            row[slice(*GROUPS["landmarks"])] = face
            made.valid[i] = True
        return made

    def _default(self, slot: str) -> str:
        return str(self.declaration.inputs[slot])  # type: ignore[attr-defined]


def points_of(
    mesh: NDArray[np.float64], pose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns of the eye landmarks ``(280,)`` and of the face's ``(340,)`` of one row."""
    from features.mesh.points import to_68
    from features.mesh.space import Head, in_front_of_camera

    head = Head.of(pose)
    columns = []
    for points in (eye_landmarks(mesh), np.asarray(to_68(mesh), np.float64)):
        places = in_front_of_camera(points, mesh, head)
        # all of one axis, then all of the next: x y in px, then X Y Z in mm
        columns.append(np.concatenate([points[:, :2].T.reshape(-1), places.T.reshape(-1)]))
    return columns[0], columns[1]


def eye_landmarks(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 56 points ``(56, 3)`` of both eyes in the mesh's pixels, in OpenFace's order.

    For each eye, the image's left one first: eight of the iris' edge, clockwise from the image's
    left, on the ellipse through the mesh's four; twelve of the lids, clockwise from the image's
    left corner, evenly along the mesh's nine above and nine below; eight of the pupil, NaN.
    """
    from features.mesh import points as at

    made = np.full((2, EYE_POINTS // 2, 3), np.nan)
    for eye, (region, iris, mirrored) in enumerate(
        ((at.LEFT_EYE_REGION, at.LEFT_IRIS, False), (at.RIGHT_EYE_REGION, at.RIGHT_IRIS, True))
    ):
        right, up, left, down = mesh[iris + 1 : iris + 5]
        middle, across, upwards = (
            (right + up + left + down) / 4,
            (right - left) / 2,
            (up - down) / 2,
        )
        angle = np.pi - np.arange(IRIS_EDGE) * 2 * np.pi / IRIS_EDGE
        made[eye, :IRIS_EDGE] = (
            middle + np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * upwards
        )
        lower = mesh[region[:9]]
        upper = np.concatenate([lower[:1], mesh[region[9:16]], lower[-1:]])
        if mirrored:
            lower, upper = lower[::-1], upper[::-1]
        per_lid = LIDS // 2
        around = np.concatenate([_even(upper, per_lid)[:-1], _even(lower, per_lid)[:0:-1]])
        made[eye, IRIS_EDGE : IRIS_EDGE + LIDS] = around
    return made.reshape(-1, 3)


def _even(points: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """``parts + 1`` points from the first to the last, evenly by their number."""
    at = np.linspace(0, len(points) - 1, parts + 1)
    return np.stack([np.interp(at, np.arange(len(points)), axis) for axis in points.T], 1)
