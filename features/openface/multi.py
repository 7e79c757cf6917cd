"""openface_multi: OpenFace's 714 columns of every face of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.openface.backend import backend
from features.openface.pick import all_faces
from features.openface.run import MULTI_PROGRAM, release, run_openface
from features.openface.settings import LICENCE
from features.openface.single import COLUMN_UNITS, duration_of, span_of
from features.openface_columns import COLUMN_GROUPS, COLUMNS_714
from features.spec import FeatureSpec, Rows


@extractor(
    name="openface_multi",
    version=1,
    inputs={"timeline": "timeline"},
    reads="file",
    scope="clip",
    licence=LICENCE,
)
class OpenFaceMulti:
    """OpenFace's 714 columns of every face of every frame, by FaceLandmarkVidMulti.

    Ragged: one row per frame holds any number of faces, float32 ``(k, 714)``, in order of
    face_id, raw: look at success and confidence. face_id is a slot of OpenFace's tracker, not a
    person: after a cut, or when a face comes back, another person may have it. A frame without a
    face is a valid, empty row.
    """

    class Params(BaseParams):
        """What changes the rows."""

        model: Literal["default", "clm", "clnf", "ceclm"] = Field(
            "default", description="landmark model; default: the program's own"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="openface_multi",
            rate="frame",
            dims=(len(COLUMNS_714),),
            dtype="float32",
            columns=COLUMNS_714,
            units=COLUMN_UNITS,
            ragged=True,
            description="OpenFace 2.x: the 714 columns of every face",
            groups=COLUMN_GROUPS,
        ),
    )

    def __init__(self, params: Params) -> None:
        self.params = params

    @staticmethod
    def tools_for(params: Params) -> Mapping[str, int | str]:
        """The image's digest or the program's sha256."""
        return {"openface": backend().key()}

    @staticmethod
    def unavailable(params: Params) -> str | None:
        """It needs an engine or a program."""
        return backend().unavailable()

    def extract(self, batch: Batch) -> Rows:
        """All faces of the clip.

        Raises:
            BadCsv, TimedOut, OutOfMemory, Crashed, NoOutput, NoEngine: see ``run_openface``.
        """
        times = np.asarray(batch.inputs["timeline"].values, np.float64)
        span = span_of(batch.media, times)
        duration = duration_of(batch.media, times)
        run = run_openface(batch.media, duration, MULTI_PROGRAM, self.params.model)
        return all_faces(run.table, span)

    @staticmethod
    def release() -> None:
        """End the container, remove temporary files."""
        release()
