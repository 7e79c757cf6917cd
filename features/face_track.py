"""face_track: one person's face in every frame, and tracks: who is who among all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.errors import RequestError
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.faces import DETECTION_COLUMNS
from features.spec import FeatureSpec, Rows
from features.tracking.detections import NONE, Detections
from features.tracking.join import join
from features.tracking.link import area, link, overlaps
from features.tracking.override import (
    ATTRIBUTE,
    NOBODY,
    Override,
    check_overrides,
    from_attribute,
)

#: column of the score
SCORE = DETECTION_COLUMNS.index("score")

#: attribute of a clip that names its subject where a dataset labels two, as Aff-Wild2 does
SIDE = "side"

Subject = Literal["main", "left", "right"]


@extractor(
    name="face_track",
    version=3,
    inputs={"faces": "faces", "identity": "identity"},
    scope="clip",
    attrs=(SIDE, ATTRIBUTE),
)
class FaceTrack:
    """One person's face in every frame, and the track that every detection belongs to.

    ``tracks``: for every detection of ``faces`` the number of its track, int32, ragged like
    ``faces``. Detections that lie over each other in successive frames are one track, gaps
    bridged. One whose face is another person's from some frame on, by ``identity``, is split
    there, also if that face stands in the same place; a head that turns away, or looks odd once,
    stays. Then tracks that look alike and are never seen in one frame are joined across cuts and
    absences. Numbers begin at 0 in the order of first appearance.

    ``face_track``: one row per frame, float32 ``(15,)``, with the columns of ``faces``: the
    subject's detection; NaN and invalid where the subject isn't seen with a sufficient score.
    The subject is the main person: the track with the largest sum of areas over frames (area x
    duration). With ``subject`` left or right, or where the clip has the attribute ``side``, the
    main person and the largest of those who share a frame with them (else the next largest) are
    told apart by their mean place in the picture; someone alone is the subject either way.

    Where ``faces`` looks at every k-th frame only (``faces.stride``), the rows between are
    invalid; with ``interpolate`` they lie on the line between the subject's two detections
    beside them, if these overlap, with the lower of their scores.

    Hand corrections (``affectstore tracks override``) say for some frames whose turn it is; they
    are in the key of the clips concerned. kuhnke2020 takes identity and box size likewise; how
    they are weighed is ours.
    """

    class Params(BaseParams):
        """What changes the tracks and the choice."""

        min_score: float = Field(0.9, ge=0, le=1, description="least score of a valid row")
        subject: Subject = Field("main", description="whose face; side tells it for one clip")
        overlap: float = Field(0.3, gt=0, lt=1, description="least IoU with a track's last box")
        gap: int = Field(15, ge=0, le=10**6, description="frames that a track may be absent from")
        same: float = Field(
            0.5, gt=0, le=100, description="greatest distance of one person's means"
        )
        use_identity: bool = Field(True, description="join and split tracks by identity")
        interpolate: bool = Field(
            False, description="fill the frames that the detector's stride passes over"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        FeatureSpec(
            name="face_track",
            rate="frame",
            dims=(len(DETECTION_COLUMNS),),
            dtype="float32",
            columns=DETECTION_COLUMNS,
            units="px; score: probability",
            description="the subject's face in every frame: box, score, five points",
        ),
        FeatureSpec(
            name="tracks",
            rate="frame",
            dims=(),
            dtype="int32",
            units="number of a track, from 0",
            ragged=True,
            description="the track of every detection: who is who",
        ),
    )

    @staticmethod
    def inputs_for(params: FaceTrack.Params) -> tuple[str, ...]:
        """``identity`` need not be computed where it isn't used."""
        return ("faces", "identity") if params.use_identity else ("faces",)

    def __init__(self, params: Params) -> None:
        self.params = params

    def extract(self, batch: Batch) -> dict[str, Rows]:
        """Tracks and the subject's face, from all detections of the clip.

        Raises:
            RequestError: hand corrections that don't fit the clip, or a side that is none.
        """
        faces = batch.inputs["faces"]
        if faces.offsets is None:
            raise RequestError("face_track reads ragged detections; bind the slot to faces")
        values = faces.values.astype(np.float32)
        identity = batch.inputs["identity"] if self.params.use_identity else None
        tracks = self._tracks(faces, values, identity)
        subject = self._subject(batch, faces, values, tracks)
        track = self._rows(faces, values, tracks == subject[_frames(faces)])
        if self.params.interpolate:
            fill_between(track, faces.valid, subject, self.params.overlap)
        return {
            "face_track": track,
            "tracks": Rows(tracks.astype(np.int32), faces.valid, faces.t0, offsets=faces.offsets),
        }

    def _tracks(
        self, faces: Rows, values: NDArray[np.float32], identity: Rows | None
    ) -> NDArray[np.int64]:
        """The track of every detection."""
        boxes = values[:, :4].astype(np.float64)
        offsets, looked_at = np.asarray(faces.offsets), np.flatnonzero(faces.valid)
        # frames that the detector passed over are no absence, so only the others count
        linked = link(
            boxes,
            np.append(offsets[looked_at], offsets[-1]),
            overlap=self.params.overlap,
            gap=self.params.gap,
        )
        if identity is None:
            return linked
        order = np.cumsum(faces.valid) - 1
        points = values[:, SCORE + 1 :].reshape(-1, 5, 2).astype(np.float64)
        found = Detections(order[_frames(faces)], boxes, points, *_described(identity, faces))
        return join(found, linked, self.params.same)

    def _subject(
        self, batch: Batch, faces: Rows, values: NDArray[np.float32], tracks: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The track that is the subject's in every frame, -1 for nobody: int64 ``(frames,)``."""
        side = batch.attrs.get(SIDE, self.params.subject)
        if side not in ("main", "left", "right"):
            raise RequestError(
                f"{batch.media.name}: side is {side!r}; it must be left, right or main"
            )
        fit = values[:, 4] >= np.float32(self.params.min_score)
        chosen = choose(_frames(faces)[fit], values[fit, :4], tracks[fit], side)
        subject = np.full(faces.rows, chosen, np.int64)
        for one in self._overrides(batch, faces.rows, tracks):
            subject[one.first : None if one.last is None else one.last + 1] = one.track
        # no detection has the track -2
        return np.where(subject == NOBODY, -2, subject)

    def _overrides(
        self, batch: Batch, frames: int, tracks: NDArray[np.int64]
    ) -> Sequence[Override]:
        overrides = from_attribute(batch.attrs.get(ATTRIBUTE, "[]"))
        check_overrides(overrides, tracks.tolist(), batch.media.name, frames)
        return overrides

    def _rows(self, faces: Rows, values: NDArray[np.float32], subjects: NDArray[np.bool_]) -> Rows:
        """The subject's best detection of every frame."""
        made = self.outputs[0].invalid(faces.rows, t0=faces.t0)
        # in float32, as stored: .9 published must reach .9 asked for
        fit = np.flatnonzero(subjects & (values[:, 4] >= np.float32(self.params.min_score)))
        frames = _frames(faces)[fit]
        order = np.lexsort((-values[fit, 4], -area(values[fit, :4].astype(np.float64)), frames))
        rows, first = np.unique(frames[order], return_index=True)
        made.values[rows] = values[fit[order[first]]]
        made.valid[rows] = True
        return made


def fill_between(
    track: Rows, looked_at: NDArray[np.bool_], subject: NDArray[np.int64], overlap: float
) -> None:
    """Fill rows that the detector passed over, linearly in the number of the frame.

    Only between two looked-at frames that follow each other, both with a valid row of the same
    subject, whose boxes overlap by ``overlap`` at least: over a cut there is no line.

    Args:
        track: float32 ``(frames, 15)``, changed in place.
        looked_at: bool ``(frames,)``.
        subject: int64 ``(frames,)``, the track whose turn it is.
    """
    seen = np.flatnonzero(looked_at)
    values = track.values.astype(np.float64)
    for a, b in zip(seen[:-1].tolist(), seen[1:].tolist(), strict=True):
        one, other = values[a], values[b]
        same = bool((subject[a : b + 1] == subject[a]).all())
        if not (same and track.valid[a] and track.valid[b]):
            continue
        if overlaps(one[:4], other[:4]) < overlap:
            continue
        share = np.arange(1, b - a)[:, None] / (b - a)
        between = one + share * (other - one)
        between[:, SCORE] = min(one[SCORE], other[SCORE])
        track.values[a + 1 : b] = between
        track.valid[a + 1 : b] = True


def choose(
    frames: NDArray[np.int64],
    boxes: NDArray[np.float32],
    tracks: NDArray[np.int64],
    side: str,
) -> int:
    """The subject's track: the main person's, or the left or right one of two; -1 for none.

    Args:
        frames, boxes, tracks: of all detections with a sufficient score, ``(n,)``, ``(n, 4)``.
        side: main, left or right.
    """
    if not len(tracks):
        return NOBODY
    places = boxes.astype(np.float64)
    sizes = np.bincount(tracks, area(places))
    main = int(sizes.argmax())
    if side == "main":
        return main
    beside = np.unique(tracks[np.isin(frames, frames[tracks == main])])
    others = beside[beside != main] if len(beside) > 1 else np.unique(tracks[tracks != main])
    if not len(others):
        return main
    other = int(others[sizes[others].argmax()])
    middle = {t: places[tracks == t][:, [0, 2]].mean() for t in (main, other)}
    left, right = sorted((main, other), key=lambda t: (middle[t], t))
    return left if side == "left" else right


def _frames(faces: Rows) -> NDArray[np.int64]:
    """The frame of every detection."""
    return np.repeat(np.arange(faces.rows), np.diff(np.asarray(faces.offsets)))


def _described(identity: Rows, faces: Rows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which row of numbers describes every detection, and the numbers: ``(n,)`` and ``(m, k)``.

    Raises:
        RequestError: they are of other detections.
    """
    counts, given = np.diff(np.asarray(faces.offsets)), np.diff(np.asarray(identity.offsets))
    if len(counts) != len(given) or (given[identity.valid] != counts[identity.valid]).any():
        raise RequestError(
            "face_track: identity and faces are of other detections; bind both to one detector"
        )
    known = ~np.isnan(identity.values).any(1)
    described = np.full(len(faces.values), NONE, np.int64)
    described[identity.valid[_frames(faces)]] = np.where(known, np.cumsum(known) - 1, NONE)
    return described, identity.values[known].astype(np.float64)
