"""Golden results of the face extractors, and how they are made.

    python -m tests.features.face_goldens

writes those of the versions in use. A file of an older version stays untouched: its numbers were
published. The input is ``face_frames.portrait_frames(6)``; the numbers of ``faces`` were equal to
facenet-pytorch 2.6.0's when they were made (test_mtcnn_parity).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from features.face_112 import Face112
from features.face_112x96 import Face112x96
from features.face_224 import Face224
from features.face_track import FaceTrack
from features.faces import Faces
from features.identity import Identity
from features.spec import Rows
from tests.features.face_frames import batch_of, portrait_frames

GOLDEN = Path(__file__).parents[1] / "golden"
FRAMES = 6


def golden_path(cls: Any, suffix: str = "json") -> Path:
    """Where the golden result of an extractor's present version lies."""
    declaration = cls.declaration
    return GOLDEN / f"{declaration.name}_v{declaration.version}.{suffix}"


def load_rows(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Values and offsets of a ragged result."""
    kept = json.loads(path.read_text())
    return np.array(kept["values"], np.float32), np.array(kept["offsets"], np.int64)


def load_crops(path: Path) -> NDArray[np.uint8]:
    """Crops ``(n, height, width, 3)`` from the picture that has them one below the other."""
    picture = cv2.imread(str(path))
    assert picture is not None, f"{path} is missing: python -m tests.features.face_goldens"
    return np.asarray(picture[..., ::-1], np.uint8).reshape(FRAMES, -1, picture.shape[1], 3)


def golden_track() -> Rows:
    """The main face of the golden frames: each has one."""
    values, _ = load_rows(golden_path(Faces))
    return Rows(values, np.ones(FRAMES, bool))


def main() -> None:
    """Write what is missing."""
    frames = portrait_frames(FRAMES)
    path = golden_path(Faces)
    if not path.exists():
        faces = Faces(Faces.Params())
        faces.setup("cpu")
        rows = faces.extract(batch_of(frames))
        assert rows.offsets is not None
        kept = {"offsets": rows.offsets.tolist(), "values": rows.values.tolist()}
        path.write_text(json.dumps(kept, indent=1) + "\n")
    path = golden_path(FaceTrack)
    if not path.exists():
        from tests.features.test_face_track import golden_digest

        path.write_text(json.dumps({"sha256": golden_digest()}) + "\n")
    path = golden_path(Identity, "npy")
    if not path.exists():
        values, offsets = load_rows(golden_path(Faces))
        found = Rows(values, np.ones(FRAMES, bool), offsets=offsets).slice(0, 2)
        identity = Identity(Identity.Params(every=1))
        identity.setup("cpu")
        np.save(path, identity.extract(batch_of(frames[:2], faces=found)).values)
    for cls in (Face112, Face112x96):
        path = golden_path(cls, "png")
        if not path.exists():
            crops = cls(cls.Params()).extract(batch_of(frames, points=golden_track())).values
            cv2.imwrite(str(path), np.concatenate(list(crops))[..., ::-1])
    path = golden_path(Face224, "png")
    if not path.exists():
        crops = Face224(Face224.Params()).extract(batch_of(frames, box=golden_track())).values
        cv2.imwrite(str(path), np.concatenate(list(crops))[..., ::-1])


if __name__ == "__main__":
    main()
