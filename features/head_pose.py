"""head_pose: where the main head is and how it is turned."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from features.errors import NoVideoStream, RequestError
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.mesh.head import angles, camera, solve
from features.spec import FeatureSpec, Rows

POSE_COLUMNS = ("Tx", "Ty", "Tz", "Rx", "Ry", "Rz", "focal", "cx", "cy")


@extractor(
    name="head_pose",
    version=1,
    inputs={"landmarks": "landmarks_68"},
    reads="file",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class HeadPose:
    """Translation in mm and rotation in rad of the main head, by solvePnP on 15 landmarks.

    One row per frame, float32 ``(9,)``: Tx, Ty, Tz of the head's origin from the camera (x to the
    image's right, y down, z away), Rx (nod), Ry (shake), Rz (tilt), all 0 for a face that looks
    into a level camera, with rotation = X(Rx) Y(Ry) Z(Rz), and the camera that this rests on:
    focal length, and the picture's middle as its centre, in px. The rigid model is a mean head
    (MediaPipe's canonical face: nose, eye and mouth corners), its origin the mean of those 15
    points. The distance is that of a head of mean size, and right only as far as the focal length
    is. A frame without landmarks is NaN and invalid.

    The columns, axes and guessed camera are OpenFace's, the method is not: OpenFace fits its
    whole shape model, expression included, and tracks it over time; ours fits each frame alone.
    docs/landmarks.md has both side by side.
    """

    class Params(BaseParams):
        """What changes the pose."""

        focal: float = Field(
            0.0,
            ge=0,
            le=1e6,
            description="focal length, px; 0: OpenFace's guess from the picture's size",
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="head_pose",
            rate="frame",
            dims=(len(POSE_COLUMNS),),
            dtype="float32",
            columns=POSE_COLUMNS,
            units="T: mm; R: rad; camera: px",
            description="translation and rotation of the main head",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    def setup(self, device: str) -> None:
        """One thread: the runner decides how many frames are worked on at once."""
        cv2.setNumThreads(1)

    def extract(self, batch: Batch) -> Rows:
        """The pose of each row, from its own landmarks alone.

        The picture's size is that of decoded frames, which the headers tell: nothing is decoded.

        Raises:
            NoVideoStream: the medium has no pictures.
            RequestError: the slot holds something else than 68 landmarks.
        """
        found = batch.inputs["landmarks"]
        if found.values.shape[1:] != (68, 2):
            raise RequestError(
                f"no landmarks in rows of shape {found.values.shape[1:]}; "
                "bind head_pose.landmarks to landmarks_68"
            )
        video = batch.media.probe.video
        if video is None:
            raise NoVideoStream(f"{batch.media.name} has no video stream; drop its landmarks")
        matrix = camera(video.width, video.height, self.params.focal)
        made = self.outputs[0].invalid(found.rows, t0=found.t0)
        for i in np.flatnonzero(found.valid & np.isfinite(found.values).all((1, 2))):
            pose = solve(found.values[i].astype(np.float64), matrix)
            if pose is not None:
                made.values[i] = [*pose[0], *angles(pose[1]), *matrix[[0, 0, 1], [0, 2, 2]]]
                made.valid[i] = True
        return made
