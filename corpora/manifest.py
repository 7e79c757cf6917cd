"""The manifest: a corpus' clips with their files, cuts, subjects, splits and labels."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpora.errors import BadClip, BadLabels, DuplicateClip, EmptyCorpus
from features.spelling import shortened

MICROSECONDS = 1_000_000

Label = float | int | str | None

#: numpy's kinds of what a label per frame can be: truth values, whole numbers, floats
NUMBERS = "biuf"

ASSETS = pa.list_(pa.struct([("role", pa.string()), ("uri", pa.string())]))


@dataclass(frozen=True)
class Asset:
    """A further file of a clip, such as provided face images or an imported OpenFace CSV."""

    role: str
    uri: str


@dataclass(frozen=True)
class ClipEntry:
    """One clip as its corpus describes it; nothing of it is decoded.

    Attributes:
        clip: id, unique in the corpus: a relative POSIX path or any plain name. Letters with
            marks are single characters in it (Unicode's NFC), as they are typed, however the
            file's name spells them: a Mac's copies take them apart.
        uri: absolute path of the medium.
        start, stop: the cut [start, stop) in container seconds; None is open.
        subject: who is seen, or None if unknown.
        split: ``train``, ``val``, ``test``, or the corpus' own word.
        attrs: what extractors may read, such as ``side``.
        labels: one value per label name; None is unlabelled.
    """

    clip: str
    uri: str
    start: float | None = None
    stop: float | None = None
    subject: str | None = None
    split: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[Asset, ...] = ()
    labels: Mapping[str, Label] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", composed(self.clip))


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """One label of one clip, per decoded video frame.

    Attributes:
        values: ``(rows,)``, numbers or truth values; row i belongs to frame i of the timeline.
        valid: bool ``(rows,)``; False where nobody labelled. Invalid values are NaN (float) or 0.
        units: for example ``-1..1``.
    """

    name: str
    values: NDArray[np.generic]
    valid: NDArray[np.bool_]
    units: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or set(self.name) & {*"/\\"} or not self.name.isprintable():
            raise BadLabels(
                f"a label per frame can't be named {self.name!r}: it becomes the feature "
                "label.<name>; use letters, digits and _"
            )
        if self.values.dtype.kind not in NUMBERS:
            raise BadLabels(
                f"label {self.name}: values are {self.values.dtype}; give numbers (classes with "
                "what they mean in the description)"
            )
        if self.values.ndim != 1 or self.valid.shape != self.values.shape:
            raise BadLabels(
                f"label {self.name}: values have shape {self.values.shape}, valid has "
                f"{self.valid.shape}; both must be (rows,)"
            )
        if self.values.dtype.kind == "f":
            wrong = np.flatnonzero(self.valid & ~np.isfinite(self.values.astype(np.float64)))
            if len(wrong):
                raise BadLabels(
                    f"label {self.name}: row {wrong[0]} is {self.values[wrong[0]]} and valid; mark "
                    "such rows invalid"
                )


@dataclass(frozen=True)
class Manifest:
    """A corpus' clips in order, checked on construction.

    Attributes:
        frame_labels: clip -> its labels per frame.
        warnings: one line each, for the person who ingests.

    Raises:
        EmptyCorpus: there is no clip.
        DuplicateClip: two clips have one id.
        BadClip: an id or a cut can't be used.
        BadLabels: a label is infinite, or frame labels are of a clip that isn't there, twice of
            one name, or of two types.
    """

    corpus: str
    clips: tuple[ClipEntry, ...]
    frame_labels: Mapping[str, tuple[FrameLabels, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.clips:
            raise EmptyCorpus(f"corpus {self.corpus} has no clips; give a source that has some")
        seen: dict[str, str] = {}
        for entry in self.clips:
            problem = id_problem(entry.clip) or cut_problem(entry.start, entry.stop)
            if problem:
                raise BadClip(f"clip {entry.clip!r} of {self.corpus}: {problem}")
            for name, value in entry.labels.items():
                if isinstance(value, float) and math.isinf(value):
                    raise BadLabels(
                        f"clip {entry.clip!r} of {self.corpus}: label {name} is {value}; give a "
                        "number, or None where it isn't known"
                    )
            if entry.clip in seen:
                raise DuplicateClip(
                    f"two clips of {self.corpus} are named {entry.clip!r} ({seen[entry.clip]} and "
                    f"{entry.uri}); give each its own id"
                )
            seen[entry.clip] = entry.uri
        given = {composed(clip): labels for clip, labels in self.frame_labels.items()}
        object.__setattr__(self, "frame_labels", given)
        self._check_frame_labels(seen)

    def _check_frame_labels(self, clips: Collection[str]) -> None:
        stray = sorted(self.frame_labels.keys() - clips)
        if stray:
            raise BadLabels(
                f"{self.corpus} has frame labels of clips that it doesn't hold: "
                f"{shortened(stray)}; add the clips or remove the labels"
            )
        first: dict[str, tuple[str, np.dtype[np.generic]]] = {}
        for clip, labels in self.frame_labels.items():
            names = [label.name for label in labels]
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise BadLabels(
                    f"{clip} of {self.corpus} has two frame labels {twice[0]}; keep one"
                )
            for label in labels:
                other, kind = first.setdefault(label.name, (clip, label.values.dtype))
                if kind != label.values.dtype:
                    raise BadLabels(
                        f"label {label.name} of {self.corpus} is {kind} of {other} and "
                        f"{label.values.dtype} of {clip}; give all clips the same type"
                    )

    def to_table(self) -> pa.Table:
        """One row per clip.

        Columns: clip, uri, start_us and stop_us (int64 microseconds), subject, split, attrs
        (JSON object), assets (list of role and uri), and ``label.<name>`` for each label.
        """
        clips = self.clips
        columns: dict[str, pa.Array] = {
            "clip": pa.array([c.clip for c in clips], pa.string()),
            "uri": pa.array([c.uri for c in clips], pa.string()),
            "start_us": pa.array([microseconds(c.start) for c in clips], pa.int64()),
            "stop_us": pa.array([microseconds(c.stop) for c in clips], pa.int64()),
            "subject": pa.array([c.subject for c in clips], pa.string()),
            "split": pa.array([c.split for c in clips], pa.string()),
            "attrs": pa.array([_json(c.attrs) for c in clips], pa.string()),
            "assets": pa.array(
                [[{"role": a.role, "uri": a.uri} for a in c.assets] for c in clips], ASSETS
            ),
        }
        for name in sorted({name for c in clips for name in c.labels}):
            columns[f"label.{name}"] = _label_column(c.labels.get(name) for c in clips)
        return pa.table(columns)


def microseconds(seconds: float | None) -> int | None:
    """Seconds as integer microseconds, to the nearest; None stays None."""
    return None if seconds is None else round(seconds * MICROSECONDS)


def composed(clip: str) -> str:
    """A clip's id as it is kept, ``é`` as one character."""
    return unicodedata.normalize("NFC", clip)


def id_problem(clip: str) -> str | None:
    """Why a clip can't have this id, or None: ids become file names when features are exported."""
    if not clip.strip():
        return "the id is empty; give it a name"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in clip) or "\\" in clip:
        return "the id holds a backslash, a control character or bytes that are no text; rename it"
    if clip != str(PurePosixPath(clip)) or clip.startswith("/") or {"..", "."} & {*clip.split("/")}:
        return "the id is no plain relative path; use names joined by single slashes"
    return None


def cut_problem(start: float | None, stop: float | None) -> str | None:
    """Why [start, stop) can't be a cut, or None."""
    for name, value in (("start", start), ("stop", stop)):
        if value is not None and not math.isfinite(value):
            return f"{name} is {value}; give seconds, or leave it empty"
        if value is not None and value < 0:
            return f"{name} is {value} s, before the beginning; give seconds from 0 on"
    start_us, stop_us = microseconds(start), microseconds(stop)
    if stop_us is not None and stop_us <= (start_us or 0):
        return f"start {start or 0} s isn't before stop {stop} s; correct the cut"
    return None


def have(number: int, noun: str) -> str:
    """``1 clip has``, ``2 clips have``."""
    return f"{number:,} {noun} has" if number == 1 else f"{number:,} {noun}s have"


def _json(attrs: Mapping[str, str]) -> str:
    return json.dumps(dict(attrs), sort_keys=True, separators=(",", ":"))


def _label_column(labels: Iterable[Label]) -> pa.Array:
    """Integers, else floats, else text; a label that is never set is text."""
    values = list(labels)
    kinds = {type(v) for v in values if v is not None}
    if kinds and kinds <= {int, bool}:
        return pa.array([None if v is None else int(v) for v in values], pa.int64())
    if kinds and kinds <= {int, bool, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([None if v is None else str(v) for v in values], pa.string())
