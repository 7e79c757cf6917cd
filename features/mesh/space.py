"""From the mesh's points in pixels to places and directions in front of the camera, in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.mesh import points as at
from features.mesh.head import IRISES, MODEL, RIGID, rotation_of

Places = NDArray[np.float64]

#: radius of the eyeball, from its centre to the iris, in mm: that of a mean adult eye
EYEBALL = 12.0
#: how far a level gaze's iris lies above the middle of the eye's corners, in mm; with it the mean
#: over 201 frames of four people is OpenFace's, without it 15 degrees higher [ours]
EYE_LIFT = 3.0


@dataclass(frozen=True)
class Head:
    """One row of ``head_pose``.

    Attributes:
        move: translation (3,) in mm; turn: rotation (3, 3).
        focal, centre: the camera's, in px.
    """

    move: Places
    turn: Places
    focal: float
    centre: Places

    @staticmethod
    def of(row: NDArray[np.floating]) -> Head:
        """From the feature's nine columns."""
        values = row.astype(np.float64)
        return Head(values[:3], rotation_of(values[3:6]), float(values[6]), values[7:9])

    def place(self, model: Places) -> Places:
        """Points of the model ``(…, 3)`` in front of the camera."""
        return np.asarray(model @ self.turn.T + self.move, np.float64)

    def rays(self, pixels: Places) -> Places:
        """What the camera sees at pixels ``(…, 2)``, one mm away from it: ``(…, 3)``."""
        flat = (pixels - self.centre) / self.focal
        return np.concatenate([flat, np.ones_like(flat[..., :1])], -1)


def in_front_of_camera(points: Places, mesh: Places, head: Head) -> Places:
    """Points ``(k, 3)`` with the mesh's kind of depth, in mm from the camera: ``(k, 3)``.

    The mesh's depths have no origin: its rigid points are given the mean depth that the pose
    gives the same points of the model.
    """
    known = head.place(np.stack([MODEL[i] for i in RIGID]))[:, 2].mean()
    depth = points[:, 2] - at.to_68(mesh)[list(RIGID), 2].mean()
    distance = known + depth * known / head.focal
    return np.asarray(head.rays(points[:, :2]) * distance[:, None], np.float64)


def gaze(mesh: Places, head: Head) -> Places:
    """Where each eye looks: unit vectors ``(2, 3)``, the image's left eye first.

    The eyeball's centre lies behind the middle between the eye's corners as it does in the model,
    ``EYE_LIFT`` higher;
    the gaze goes from it to where the ray through the iris' centre meets the eyeball, or passes
    it nearest.
    """
    made = np.zeros((2, 3))
    corners = ((36, 39, at.LEFT_OUTER, at.LEFT_INNER), (42, 45, at.RIGHT_INNER, at.RIGHT_OUTER))
    for eye, (one, other, mesh_one, mesh_other) in enumerate(corners):
        middle = (MODEL[one] + MODEL[other]) / 2
        ball = IRISES[eye] + np.array([0.0, -EYE_LIFT, EYEBALL])
        seen = (mesh[mesh_one, :2] + mesh[mesh_other, :2]) / 2
        anchor = head.rays(seen) * head.place(middle)[2]
        centre = anchor + head.turn @ (ball - middle)
        iris = (at.LEFT_IRIS, at.RIGHT_IRIS)[eye]
        ray = head.rays(mesh[iris, :2])
        ray /= np.linalg.norm(ray)
        along = float(ray @ centre)
        short = EYEBALL**2 - (float(centre @ centre) - along**2)
        pupil = ray * (along - np.sqrt(max(short, 0.0)))
        made[eye] = (pupil - centre) / np.linalg.norm(pupil - centre)
    return made


def gaze_angles(vectors: Places) -> Places:
    """Left-right and up-down angle in rad of the eyes' mean direction, as OpenFace has them."""
    x, y, z = vectors.mean(0)
    return np.array([np.arctan2(x, -z), np.arctan2(y, -z)])
