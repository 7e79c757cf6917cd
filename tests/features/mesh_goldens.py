"""Golden results of what is made from the face mesh, and how they are made.

    python -m tests.features.mesh_goldens

writes those of the versions in use. A file of an older version stays untouched: its numbers were
published. The input is ``face_frames.portrait_frames(2)`` with the golden faces.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.face_mesh import FaceMesh
from features.landmarks_68 import Landmarks68
from features.spec import Rows
from tests.features.face_frames import batch_of, portrait_frames
from tests.features.face_goldens import golden_path, golden_track

FRAMES = 2


@cache
def _mesh() -> dict[str, Rows]:
    extractor = FaceMesh(FaceMesh.Params())
    extractor.setup("cpu")
    track = golden_track().slice(0, FRAMES)
    return extractor.extract(batch_of(portrait_frames(FRAMES), face=track))


def portrait_mesh() -> Rows:
    """The mesh of the golden frames, computed now."""
    rows = _mesh()["face_mesh"]
    return Rows(rows.values.copy(), rows.valid.copy(), rows.t0)


def portrait_score() -> Rows:
    """The mesh's score of the golden frames, computed now."""
    return _mesh()["face_mesh_score"]


@cache
def landmarks_of(backend: str) -> Rows:
    """The golden frames' landmarks by one of the backends, computed now."""
    extractor = Landmarks68(Landmarks68.Params(backend=backend))  # type: ignore[arg-type]
    extractor.setup("cpu")
    track = golden_track().slice(0, FRAMES)
    return extractor.extract(batch_of(portrait_frames(FRAMES), mesh=portrait_mesh(), face=track))


def load(cls: Any) -> NDArray[np.float64]:
    """The golden values of an extractor's present version."""
    return np.array(json.loads(golden_path(cls).read_text()), np.float64)


def save(cls: Any, values: NDArray[np.generic], digits: int) -> None:
    """Write golden values if there are none of this version; NaN as null."""
    path = golden_path(cls)
    if not path.exists():
        kept = np.round(values.astype(np.float64), digits)
        rows = np.where(np.isnan(kept), None, kept).tolist()
        path.write_text(json.dumps(rows, separators=(",", ":")) + "\n")


def main() -> None:
    """Write what is missing."""
    save(FaceMesh, portrait_mesh().values, 2)
    save(Landmarks68, landmarks_of("mesh").values, 2)


if __name__ == "__main__":
    main()
