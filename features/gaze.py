"""gaze: where the main face's eyes look."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.errors import RequestError
from features.extractor import Batch, extractor
from features.extractor import Params as AnyParams
from features.openface_columns import COLUMNS_714, GROUPS
from features.spec import FeatureSpec, Rows

MESH_POINTS, POSE_WIDTH = 478, 9
GAZE_COLUMNS = COLUMNS_714[slice(*GROUPS["gaze"])]


@extractor(
    name="gaze",
    version=1,
    inputs={"mesh": "face_mesh", "pose": "head_pose"},
    frame_local=True,
)
class Gaze:
    """Direction of each eye's gaze, from the irises of ``face_mesh`` and ``head_pose``.

    One row per frame, float32 ``(8,)``: a unit vector for the image's left eye (0) and its right
    one (1), in the camera's axes (x to the image's right, y down, z away; into the camera is 0,
    0, -1), then the mean direction's angle to the right and downwards in rad. The eyeball is a
    sphere of 12 mm radius that lies behind the eye's corners as in MediaPipe's canonical face,
    3 mm higher (ours); the gaze goes from its centre to where the ray through the iris' centre
    meets it. Of persons and cameras it knows nothing: expect a constant offset of some degrees
    for each. A row without mesh or pose is NaN and invalid.

    Columns and axes are OpenFace's; OpenFace fits a model of 28 points to each eye instead and
    smooths over time. docs/landmarks.md has both side by side.
    """

    class Params(AnyParams):
        """The camera is the pose's."""

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="gaze",
            rate="frame",
            dims=(len(GAZE_COLUMNS),),
            dtype="float32",
            columns=GAZE_COLUMNS,
            units="unit vectors; angles: rad",
            description="direction of each eye's gaze",
        ),
    )

    def __init__(self, params: AnyParams) -> None:
        self.params = params

    def extract(self, batch: Batch) -> Rows:
        """The gaze of each row, from its own mesh and pose alone.

        Raises:
            RequestError: a slot holds something else.
        """
        from features.mesh.space import Head, gaze, gaze_angles

        mesh, pose = batch.inputs["mesh"], batch.inputs["pose"]
        if mesh.values.shape[1:] != (MESH_POINTS, 3) or pose.values.shape[1:] != (POSE_WIDTH,):
            raise RequestError("bind gaze.mesh to face_mesh and gaze.pose to head_pose")
        made = self.outputs[0].invalid(mesh.rows, t0=mesh.t0)
        finite = np.isfinite(mesh.values).all((1, 2)) & np.isfinite(pose.values).all(1)
        for i in np.flatnonzero(mesh.valid & pose.valid & finite):
            vectors = gaze(mesh.values[i].astype(np.float64), Head.of(pose.values[i]))
            made.values[i] = [*vectors.reshape(-1), *gaze_angles(vectors)]
            made.valid[i] = True
        return made
