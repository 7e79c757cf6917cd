"""landmarks_68: the 68 landmarks of the main face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features import weights
from features.dlib.package import MISSING, dlib_version, is_missing
from features.errors import RequestError, ToolMissing, UnexpectedFailure
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.mesh.points import FACE_POINTS, to_68
from features.spec import FeatureSpec, Rows

#: columns of one detection: box, score, five points
DETECTION = 15
#: the square that dlib's own detector would have found, from MTCNN's box: its side by the box's
#: longer side, and how far its centre lies below the box's, by the same measure; medians of 61
#: frames of seven real clips [ours]
DLIB_SCALE, DLIB_DOWN = 0.82, 0.05


@extractor(
    name="landmarks_68",
    version=2,
    inputs={"mesh": "face_mesh", "face": "face_track"},
    reads="video",
    frame_local=True,
    tools={"decode": DECODE_VERSION},
)
class Landmarks68:
    """68 landmarks of the main face: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67.

    One row per frame, float32 ``(68, 2)``: x and y in pixels of the displayed frame, whole
    numbers at pixels' centres; left to right as the image shows. A frame without a face is NaN
    and invalid.

    ``backend=mesh``: points of ``face_mesh``, one or the mean of two for each landmark, by the
    published correspondence of Yan (2024), in which point 13 is made as its mirror 3 is (ours: a
    mirrored face has mirrored landmarks). Its jaw follows the head's outline in three dimensions
    and doesn't slide along it as a face turns. ``backend=dlib``: dlib's regression trees (Kazemi
    and Sullivan 2014) on the box of ``face_track``, as whole numbers; their weights may not be
    used commercially (300-W). docs/landmarks.md says how the two differ. OpenFace's landmarks are
    a third kind: a shape model tracked over time, of which rows depend on the rows before.
    """

    class Params(BaseParams):
        """What changes the landmarks."""

        backend: Literal["mesh", "dlib"] = Field("mesh", description="who finds them")

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="landmarks_68",
            rate="frame",
            dims=(68, 2),
            dtype="float32",
            columns=("x", "y"),
            units="px",
            description="the 68 landmarks of the main face",
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params
        self.predictor: Any = None

    @staticmethod
    def inputs_for(params: Landmarks68.Params) -> tuple[str, ...]:
        """The mesh, or the box."""
        return ("mesh",) if params.backend == "mesh" else ("face",)

    @staticmethod
    def weights_for(params: Landmarks68.Params) -> tuple[str, ...]:
        """The mesh brings its own."""
        return () if params.backend == "mesh" else ("dlib68",)

    @staticmethod
    def tools_for(params: Landmarks68.Params) -> Mapping[str, int | str]:
        """dlib's version, where it does the work."""
        if params.backend == "mesh":
            return {}
        return {"dlib": dlib_version()}

    @staticmethod
    def unavailable(params: Landmarks68.Params) -> str | None:
        """dlib is an extra."""
        if params.backend == "mesh":
            return None
        return MISSING if is_missing() else None

    def setup(self, device: str) -> None:
        """Load dlib's predictor, if that is the backend.

        Raises:
            ToolMissing: dlib isn't installed.
            MissingWeights, WeightsDamaged: see ``features.weights.read``.
        """
        if self.params.backend == "mesh":
            return
        try:
            import dlib
        except ImportError as error:
            raise ToolMissing(f"landmarks_68.backend=dlib: {MISSING}") from error
        weights.read("dlib68")
        self.predictor = dlib.shape_predictor(str(weights.resolve("dlib68")[0]))

    def extract(self, batch: Batch) -> Rows:
        """The landmarks of each of the batch's frames, each from its own face alone.

        Raises:
            RequestError: a slot holds something else than a mesh or detections.
        """
        t0 = float(batch.times[0]) if len(batch.times) else 0.0
        if self.params.backend == "mesh":
            mesh = batch.inputs["mesh"]
            if mesh.values.ndim != 3 or mesh.values.shape[1] < FACE_POINTS:
                raise RequestError(
                    f"no mesh in rows of shape {mesh.values.shape[1:]}; "
                    "bind landmarks_68.mesh to face_mesh"
                )
            points = to_68(mesh.values[..., :2].astype(np.float64)).astype(np.float32)
            return Rows(points, mesh.valid.copy(), t0)
        return self._by_dlib(batch, t0)

    def _by_dlib(self, batch: Batch, t0: float) -> Rows:
        if self.predictor is None or batch.frames is None:
            raise UnexpectedFailure("landmarks_68 needs setup(device), and frames with pixels")
        found = batch.inputs["face"]
        if found.values.shape[1:] != (DETECTION,):
            raise RequestError(
                f"no boxes in rows of shape {found.values.shape[1:]}; "
                "bind landmarks_68.face to face_track (15 columns)"
            )
        import dlib

        made = self.outputs[0].invalid(len(batch.frames), t0=t0)
        squares = dlib_squares(found.values[:, :4])
        for i in np.flatnonzero(found.valid & np.isfinite(found.values[:, :4]).all(1)):
            shape = self.predictor(batch.frames[i], dlib.rectangle(*squares[i].tolist()))
            made.values[i] = [(point.x, point.y) for point in shape.parts()]
            made.valid[i] = True
        return made


def dlib_squares(boxes: NDArray[np.generic]) -> NDArray[np.int64]:
    """MTCNN's boxes ``(n, 4)`` as squares that dlib's predictor expects.

    Returns:
        int64 ``(n, 4)``: left, top, right, bottom, in whole pixels; zeros where a box is NaN.
    """
    corners = np.nan_to_num(boxes.astype(np.float64))
    low, high = corners[:, :2], corners[:, 2:]
    long_side = (high - low).max(1, keepdims=True)
    centre = (low + high) / 2 + long_side * [0.0, DLIB_DOWN]
    half = long_side * DLIB_SCALE / 2
    return np.floor(np.concatenate([centre - half, centre + half], 1) + 0.5).astype(np.int64)
