"""The records that the store keeps: one published result, one failure, one run, one node."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Piece:
    """Rows ``[row_start, row_stop)`` of one part (frames, for a ragged feature)."""

    part: str
    row_start: int
    row_stop: int


@dataclass(frozen=True)
class Published:
    """One catalogue row: a whole (clip, feature) result.

    Attributes:
        inputs: slot -> (bound feature, content hash of the rows that were read).
        media_key: key of the medium that was read, None if the feature reads no medium.
        valid_rows: valid entries; ``valid_share`` divides by the number of validity flags.
        pieces: where the rows lie, in order; parts are ids under ``parts/<feature>/``.
        computed, reused: how many of the rows were computed, how many copied.
        seconds: wall time of the computation.
    """

    corpus: str
    clip: str
    feature: str
    fingerprint: str
    extractor_key: str
    media_key: str | None
    inputs: dict[str, tuple[str, str]]
    content: str
    rows: int
    valid_share: float
    t0: float
    step: float | None
    pieces: tuple[Piece, ...]
    bytes: int
    computed: int
    reused: int
    seconds: float
    device: str
    host: str
    run: str
    time: datetime


@dataclass(frozen=True)
class Failure:
    """One quarantine row: why a (clip, feature) could not be computed."""

    corpus: str
    clip: str
    feature: str
    fingerprint: str
    code: str
    message: str
    log: str
    attempts: int
    run: str
    time: datetime


@dataclass(frozen=True)
class Run:
    """One run of extract: what was asked, what came of it."""

    run: str
    started: datetime
    stopped: datetime | None
    state: str
    features: tuple[str, ...]
    configuration: str
    published: int
    failed: int
    message: str = ""


@dataclass(frozen=True)
class Node:
    """One feature as a configuration binds it: all that its fingerprint needs but the clip.

    Attributes:
        feature: output name.
        extractor, version, params, weights, tools: what the key is made of; params holds those
            that differ from their default, weights name -> sha256.
        extractor_key: H over the above.
        reads_media: the media key is part of the fingerprint.
        inputs: (slot, bound feature) in order of slot.
        attrs: names of the clip attributes that the extractor reads.
        frame_local: rows may be reused by digest.
    """

    feature: str
    extractor: str
    version: int
    params: dict[str, object]
    weights: dict[str, str]
    tools: dict[str, int | str]
    extractor_key: str
    reads_media: bool
    inputs: tuple[tuple[str, str], ...]
    attrs: tuple[str, ...] = ()
    frame_local: bool = False


@dataclass(frozen=True)
class Configuration:
    """A named, versioned set of nodes in topological order, and the settings that made it."""

    name: str
    id: str
    nodes: tuple[Node, ...]
    settings: dict[str, object] = field(default_factory=dict)
