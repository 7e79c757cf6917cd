"""Made detections of people who move, leave, come back and are cut to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.face_track import FaceTrack
from features.media.media import Media
from features.spec import Rows
from features.tracking.override import Override, to_attribute
from tests.features.face_frames import NO_MEDIA, Batch

DIMENSIONS = 128
#: of the made numbers: far apart for two people, near for one; a head turned by a whole length
BETWEEN_PEOPLE, WITHIN_PERSON, BY_TURNING = 0.8, 0.05, 1.5
#: the points in shares of the box; the nose's height tells whose they are
POINTS = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.5), (0.35, 0.8), (0.65, 0.8)])
EYES_TO_MOUTH, NOSE_BY_WHO, NOSE_Y = 0.4, 0.01, 10


@dataclass(frozen=True)
class Face:
    """One detection: whose it is, the left upper corner, the side of its square box, the score.

    ``turned``: how far the nose lies beside the line from eyes to mouth, in lengths of it.
    """

    who: int
    x: float
    y: float = 50.0
    side: float = 40.0
    score: float = 0.99
    turned: float = 0.0


def numbers_of(face: Face) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What identity would say of that face, but for noise."""
    made = np.zeros(DIMENSIONS)
    made[face.who] = BETWEEN_PEOPLE / np.sqrt(2)
    made[-1] = BY_TURNING * face.turned
    return made


def points_of(face: Face) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """x and y of the five points."""
    shares = POINTS.copy()
    shares[2] += face.turned * EYES_TO_MOUTH, NOSE_BY_WHO * face.who
    return (shares * face.side + [face.x, face.y]).reshape(-1)


def scene(frames: Sequence[Sequence[Face]], every: int = 1) -> tuple[Rows, Rows]:
    """Rows of ``faces`` and of ``identity`` for every k-th frame."""
    rng = np.random.default_rng(0)
    faces = [face for frame in frames for face in frame]
    values = np.zeros((len(faces), 15), np.float32)
    for row, face in zip(values, faces, strict=True):
        row[:5] = face.x, face.y, face.x + face.side, face.y + face.side, face.score
        row[5:] = points_of(face)
    offsets = np.cumsum([0, *map(len, frames)])
    looked_at = np.arange(len(frames)) % every == 0
    described = [f for frame, yes in zip(frames, looked_at, strict=True) if yes for f in frame]
    numbers = np.zeros((len(described), DIMENSIONS), np.float32)
    for row, face in zip(numbers, described, strict=True):
        noise = rng.normal(size=DIMENSIONS) * WITHIN_PERSON / np.sqrt(DIMENSIONS)
        row[:] = numbers_of(face) + noise if face.score >= 0.9 else np.nan
    counts = np.where(looked_at, np.diff(offsets), 0)
    return (
        Rows(values, np.ones(len(frames), bool), 0.5, offsets=offsets),
        Rows(numbers, looked_at, 0.5, offsets=np.concatenate([[0], np.cumsum(counts)])),
    )


def run(
    frames: Sequence[Sequence[Face]],
    *,
    every: int = 1,
    side: str | None = None,
    corrections: Sequence[Override] = (),
    **params: object,
) -> dict[str, Rows]:
    """Both features of a scene."""
    faces, identity = scene(frames, every)
    media = Media(
        NO_MEDIA.path,
        attrs=({} if side is None else {"side": side})
        | ({"tracks": to_attribute(corrections)} if corrections else {}),
    )
    extractor = FaceTrack(FaceTrack.Params(**params))  # type: ignore[arg-type]
    return extractor.extract(Batch(media, inputs={"faces": faces, "identity": identity}))


def subjects(made: dict[str, Rows]) -> list[int]:
    """Whose face every row is; -1 where there is none."""
    rows = made["face_track"]
    top, bottom, nose = rows.values[:, [1, 3, NOSE_Y]].T.astype(np.float64)
    lower = (nose - top) / (bottom - top) - POINTS[2, 1]
    return np.where(rows.valid, np.rint(lower / NOSE_BY_WHO), -1).astype(int).tolist()


def tracks(made: dict[str, Rows]) -> list[list[int]]:
    """The track of every detection, frame by frame."""
    rows = made["tracks"]
    return [rows.slice(i, i + 1).values.tolist() for i in range(rows.rows)]
