"""Golden results of what is made from the face mesh, and how they are made.

    python -m tests.features.mesh_goldens

writes those of the versions in use. A file of an older version stays untouched: its numbers were
published. The input is ``face_frames.portrait_frames(2)`` with the golden faces.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from features.extractor import Batch
from features.face_eyes_224 import FaceEyes224
from features.face_mask import FaceMask
from features.face_mesh import FaceMesh
from features.facemesh_714 import Facemesh714
from features.gaze import Gaze
from features.head_pose import HeadPose
from features.landmarks_68 import Landmarks68
from features.media.media import Media
from features.spec import Rows
from tests.features.face_frames import NO_MEDIA, batch_of, portrait_frames
from tests.features.face_goldens import golden_path, golden_track
from tests.features.made_clips import make_clip

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


def golden_mesh() -> Rows:
    """The golden frames' mesh as it was published."""
    return Rows(load(FaceMesh).astype(np.float32), np.ones(FRAMES, bool))


def golden_landmarks() -> Rows:
    """The golden frames' landmarks as they were published."""
    return Rows(load(Landmarks68).astype(np.float32), np.ones(FRAMES, bool))


def golden_pose() -> Rows:
    """The pose of the golden landmarks, computed now."""
    return pose_of(golden_landmarks())


@cache
def portrait_media() -> Media:
    """A clip with pictures of the golden frames' size; what they show doesn't matter."""
    folder = Path(tempfile.mkdtemp(prefix="affectstore-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    height, width = portrait_frames(1).shape[1:3]
    picture = f"testsrc2=size={width}x{height}:rate=10"
    return Media(str(make_clip(folder / "made.mp4", picture=picture, seconds=0.2, sound=False)))


def pose_of(landmarks: Rows, **params: float) -> Rows:
    """The pose of landmarks in pictures of the golden frames' size."""
    batch = Batch(portrait_media(), inputs={"landmarks": landmarks})
    return HeadPose(HeadPose.Params(**params)).extract(batch)


def golden_gaze() -> Rows:
    """The gaze of the golden mesh, computed now."""
    inputs = {"mesh": golden_mesh(), "pose": golden_pose()}
    return Gaze(Gaze.Params()).extract(Batch(NO_MEDIA, inputs=inputs))


def golden_714() -> Rows:
    """The 714 columns of the golden mesh, computed now."""
    score = Rows(np.full(FRAMES, 0.75, np.float32), np.ones(FRAMES, bool))
    inputs = {"mesh": golden_mesh(), "score": score, "pose": golden_pose(), "gaze": golden_gaze()}
    times = 2.5 + np.arange(FRAMES) / 25
    return Facemesh714(Facemesh714.Params()).extract(Batch(NO_MEDIA, 3, times, None, inputs))


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
    save(HeadPose, golden_pose().values, 4)
    save(Gaze, golden_gaze().values, 5)
    save(Facemesh714, golden_714().values, 4)
    path = golden_path(FaceEyes224, "png")
    if not path.exists():
        batch = batch_of(portrait_frames(FRAMES), points=golden_landmarks())
        crops = FaceEyes224(FaceEyes224.Params()).extract(batch).values
        cv2.imwrite(str(path), np.concatenate(list(crops))[..., ::-1])
    path = golden_path(FaceMask, "png")
    if not path.exists():
        inputs = {"landmarks": golden_landmarks(), "points": golden_landmarks()}
        masks = FaceMask(FaceMask.Params()).extract(Batch(NO_MEDIA, inputs=inputs)).values
        cv2.imwrite(str(path), np.concatenate(list(masks)))


if __name__ == "__main__":
    main()
