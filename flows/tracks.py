"""What tracks a store's clips have, for a person who looks them over."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from features.tracking.override import Override
from flows.corrections import corrections_of
from storage import FeatureStore


@dataclass(frozen=True)
class Track:
    """One track of a clip.

    Attributes:
        frames: in how many it is seen; first, last: the first and the last of them.
        subject: in how many of them it is the row of face_track.
        width, x: mean width of its boxes and mean place of their middle, px.
    """

    track: int
    frames: int
    first: int
    last: int
    subject: int
    width: float
    x: float


@dataclass(frozen=True)
class ClipTracks:
    """A clip's tracks, the largest area x duration first, and its corrections."""

    corpus: str
    clip: str
    frames: int
    tracks: tuple[Track, ...]
    overrides: tuple[Override, ...]

    def to_json(self) -> dict[str, object]:
        """The facts, for ``tracks show --json``."""
        return asdict(self)


def tracks(
    store: FeatureStore, clip: str | None, corpus: str | None, variant: str | None = None
) -> list[ClipTracks]:
    """The tracks of every clip that has some published, as far as they fit its faces.

    Raises:
        UnknownClip, UnknownCorpus: there is no such clip, with the nearest name.
        UnknownVariant: the store has no configuration of that name.
    """
    found, rows = [], store.clips(corpus).to_pylist()
    if clip is not None and all(row["clip"] != clip for row in rows):
        store.clip(clip, corpus)
    for row in rows:
        if clip not in (None, row["clip"]) or row["state"] != "present":
            continue
        made = _of_clip(store, row["corpus"], row["clip"], corrections_of(row), variant)
        found += [made] if made else []
    return found


def _of_clip(
    store: FeatureStore,
    corpus: str,
    clip: str,
    overrides: tuple[Override, ...],
    variant: str | None,
) -> ClipTracks | None:
    results = {p.feature: p for p in store.current(clip, corpus, variant)}
    if not {"faces", "tracks"} <= results.keys():
        return None
    faces, numbers = (store.read_result(results[f]) for f in ("faces", "tracks"))
    if faces.offsets is None or not np.array_equal(faces.offsets, np.asarray(numbers.offsets)):
        return None
    values = faces.values.astype(np.float64)
    frames = np.repeat(np.arange(faces.rows), np.diff(faces.offsets))
    chosen = np.zeros(len(values), bool)
    if "face_track" in results:
        subject = store.read_result(results["face_track"])
        chosen = (values[:, :4] == subject.values[frames, :4].astype(np.float64)).all(1)
    widths, heights = values[:, 2] - values[:, 0], values[:, 3] - values[:, 1]
    middles = values[:, [0, 2]].mean(1)
    names = np.unique(numbers.values)
    mine = {int(n): numbers.values == n for n in names}
    return ClipTracks(
        corpus,
        clip,
        faces.rows,
        tuple(
            Track(
                track=n,
                frames=int(m.sum()),
                first=int(frames[m][0]),
                last=int(frames[m][-1]),
                subject=int(chosen[m].sum()),
                width=float(widths[m].mean()),
                x=float(middles[m].mean()),
            )
            for n, m in sorted(mine.items(), key=lambda e: -(widths * heights)[e[1]].sum())
        ),
        overrides,
    )
