"""What a picture of one clip shows, gathered from the store and from the medium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import MediaError
from features.media.media import Media
from features.registry import feature_specs
from features.spec import Rows
from storage import FeatureStore, StaleResult
from storage.keys import MICROSECONDS
from storage.records import Published

#: frames of a strip: more where they are narrow
LANDSCAPE, PORTRAIT = 8, 12
#: features that hold one aligned face per frame
CROPS = ("face_112", "face_112x96")
#: columns of ``mfcc_mel`` that are MFCC; the others are mel bands
N_MFCC = 40
LABEL = "label."
#: rows that are read at a time where only their validity is wanted
BLOCK_ROWS = 512
#: few, for a frame may be large
FRAMES_PER_BATCH = 4

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame of the strip.

    Attributes:
        image: RGB, or None where the medium can't be read.
        main: box and points of the main face, ``(15,)``, or None.
        others: boxes of the other faces, ``(n, 4)``.
        crops: feature -> aligned face, None where there is no valid one.
    """

    row: int
    time: float
    image: Image | None
    main: Floats | None
    others: Floats
    crops: dict[str, Image | None]


@dataclass(frozen=True, eq=False)
class Line:
    """One label per frame; NaN where nobody labelled."""

    name: str
    values: Floats


@dataclass(frozen=True)
class Validity:
    """When a feature is valid: spans of container seconds.

    Attributes:
        stale: the rows are of another version, parameter or input than the configuration wants.
    """

    feature: str
    rows: int
    share: float
    spans: tuple[tuple[float, float], ...]
    stale: bool


@dataclass(frozen=True, eq=False)
class ClipView:
    """All that is drawn of one clip.

    Attributes:
        facts: the clip's row in the store.
        edges: container seconds at which frames begin, and at which the last one stops,
            ``(frames + 1,)``; empty if the medium can't be read and no timeline is published.
        sound: ``mfcc_mel``, ``(frames, 168)``, NaN where invalid; None if not published.
        problem: why there are no pictures, or "".
    """

    corpus: str
    clip: str
    facts: dict[str, Any]
    edges: Floats
    shots: list[Shot]
    crops: list[str]
    sound: Floats | None
    lines: list[Line]
    validity: list[Validity] = field(default_factory=list)
    problem: str = ""

    @property
    def frames(self) -> int:
        """Number of frames on the timeline."""
        return max(0, len(self.edges) - 1)


def clip_view(store: FeatureStore, clip: str, corpus: str, variant: str | None = None) -> ClipView:
    """Gather one clip under a configuration; what isn't published is left out.

    Raises:
        UnknownCorpus, UnknownClip, UnknownVariant: the store has no such clip or configuration.
    """
    return _Gatherer(store, clip, corpus, variant).view()


class _Gatherer:
    def __init__(self, store: FeatureStore, clip: str, corpus: str, variant: str | None) -> None:
        self._store, self._clip, self._corpus, self._variant = store, clip, corpus, variant
        self._facts = store.clip(clip, corpus)
        self._published = {p.feature: p for p in store.current(clip, corpus, variant)}
        self._problem = ""

    def view(self) -> ClipView:
        edges = _edges(self._times())
        crops = [name for name in CROPS if name in self._published]
        shots = self._shots(edges, crops) if len(edges) else []
        return ClipView(
            corpus=self._corpus,
            clip=self._clip,
            facts=self._facts,
            edges=edges,
            shots=shots,
            crops=crops,
            sound=self._sound(len(edges) - 1),
            lines=self._lines(len(edges) - 1),
            validity=[self._validity(self._published[n], edges) for n in self._in_order()],
            problem=self._problem,
        )

    def _in_order(self) -> list[str]:
        """Features as lists show them: extractors before what reads them, labels last."""
        known = [name for name in feature_specs() if name in self._published]
        return known + sorted(self._published.keys() - {*known})

    @property
    def _media(self) -> Media:
        cut = (self._facts["start_us"], self._facts["stop_us"])
        start, stop = (None if us is None else us / MICROSECONDS for us in cut)
        return Media(self._facts["uri"], start, stop, truncated="keep")

    def _read(self, feature: str, start: int | None = None, stop: int | None = None) -> Rows:
        return self._store.read(
            self._clip,
            feature,
            start,
            stop,
            corpus=self._corpus,
            variant=self._variant,
            stale="allow",
        )

    def _times(self) -> Floats:
        if "timeline" in self._published:
            return self._read("timeline").values.astype(np.float64).reshape(-1)
        try:
            batches = list(self._media.video(FRAMES_PER_BATCH, pixels=False))
        except MediaError as error:
            self._problem = str(error)
            return np.zeros(0)
        return np.concatenate([b.times for b in batches]) if batches else np.zeros(0)

    def _shots(self, edges: Floats, crops: Sequence[str]) -> list[Shot]:
        """Frames at the middle of equal stretches, so that a strip of them is a time axis."""
        width, height = self._facts.get("width") or 4, self._facts.get("height") or 3
        count = LANDSCAPE if width >= height else PORTRAIT
        middles = edges[0] + (np.arange(count) + 0.5) / count * (edges[-1] - edges[0])
        rows = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, len(edges) - 2)
        wanted: list[int] = rows.tolist()
        images = self._images(set(wanted))
        track = self._read("face_track") if "face_track" in self._published else None
        faces = self._read("faces") if "faces" in self._published else None
        return [
            Shot(
                row=row,
                time=float(edges[row]),
                image=images.get(row),
                main=_main_face(track, row),
                others=_other_boxes(faces, _main_face(track, row), row),
                crops={name: self._crop(name, row) for name in crops},
            )
            for row in wanted
        ]

    def _images(self, wanted: set[int]) -> dict[int, Image]:
        """Row -> frame; decodes once, no further than the last wanted frame."""
        found: dict[int, Image] = {}
        try:
            for batch in self._media.video(FRAMES_PER_BATCH):
                if batch.frames is not None:
                    inside = wanted & {*range(batch.start, batch.start + len(batch.times))}
                    found |= {row: batch.frames[row - batch.start].copy() for row in inside}
                if len(found) == len(wanted):
                    break
        except MediaError as error:
            self._problem = str(error)
        return found

    def _crop(self, feature: str, row: int) -> Image | None:
        rows = self._read(feature, row, row + 1)
        return rows.values[0].astype(np.uint8) if rows.rows and rows.valid[0] else None

    def _sound(self, frames: int) -> Floats | None:
        if "mfcc_mel" not in self._published or frames < 1:
            return None
        rows = self._read("mfcc_mel")
        values = np.where(rows.valid[:, None], rows.values.astype(np.float64), np.nan)
        return _fitted(values, frames)

    def _lines(self, frames: int) -> list[Line]:
        lines = []
        for name in sorted(n for n in self._published if n.startswith(LABEL)):
            rows = self._read(name)
            if rows.values.ndim == 1 and frames > 0:
                values = np.where(rows.valid, rows.values.astype(np.float64), np.nan)
                lines.append(Line(name.removeprefix(LABEL), _fitted(values, frames)))
        return lines

    def _validity(self, published: Published, edges: Floats) -> Validity:
        flags, borders = self._flags(published), self._borders(published, edges)
        count = min(len(flags), len(borders) - 1)
        return Validity(
            feature=published.feature,
            rows=published.rows,
            share=published.valid_share,
            spans=_spans(flags[:count], borders[: count + 1]),
            stale=self._is_stale(published),
        )

    def _flags(self, published: Published) -> NDArray[np.bool_]:
        """Validity per flag; rows are read only where some are valid and some aren't."""
        if published.valid_share in (0.0, 1.0):
            return np.full(max(1, published.rows), published.valid_share == 1.0)
        block = self._read(published.feature, 0, 1).block
        step = max(BLOCK_ROWS, block)
        parts = [
            np.repeat(self._read(published.feature, i, i + step).valid, block)
            for i in range(0, published.rows, step)
        ]
        return np.concatenate(parts)[: published.rows]

    def _borders(self, published: Published, edges: Floats) -> Floats:
        if published.step is not None:
            steps = np.arange(published.rows + 1, dtype=np.float64)
            borders = np.asarray(published.t0 + published.step * steps, np.float64)
            spec = self._store.spec(published)
            if spec.rate == "segment" and published.rows:
                # the last row is of all the sound that it was made of
                borders[-1] = borders[-2] + (spec.span or 2 * published.step)
            return borders
        if published.rows == 1 and len(edges):
            return edges[[0, -1]]
        return edges

    def _is_stale(self, published: Published) -> bool:
        if published.feature.startswith(LABEL):
            return False
        try:
            self._store.rows(
                self._clip, published.feature, corpus=self._corpus, variant=self._variant
            )
        except StaleResult:
            return True
        return False


def _edges(times: Floats) -> Floats:
    """Each frame lasts until the next; the last one as long as frames usually do."""
    if not len(times):
        return times
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    return np.append(times, times[-1] + usual)


def _fitted(values: Floats, frames: int) -> Floats:
    """Cut, or filled with NaN, to the timeline's length."""
    out = np.full((frames, *values.shape[1:]), np.nan)
    count = min(frames, len(values))
    out[:count] = values[:count]
    return out


def _main_face(track: Rows | None, row: int) -> Floats | None:
    if track is None or row >= track.rows or not track.valid[row]:
        return None
    return np.asarray(track.values[row], np.float64)


def _other_boxes(faces: Rows | None, main: Floats | None, row: int) -> Floats:
    if faces is None or faces.offsets is None or row >= faces.rows:
        return np.zeros((0, 4))
    boxes = faces.values[faces.offsets[row] : faces.offsets[row + 1]].astype(np.float64)[:, :4]
    if main is None:
        return boxes
    return boxes[np.abs(boxes - main[:4]).max(1) > 0.5] if len(boxes) else boxes


def _spans(flags: NDArray[np.bool_], borders: Floats) -> tuple[tuple[float, float], ...]:
    """Runs of True as (start, stop)."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return tuple(
        (float(borders[a]), float(borders[b]))
        for a, b in zip(change[::2], change[1::2], strict=True)
    )
