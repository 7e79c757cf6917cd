"""The clips of a corpus that have all the features and labels that a trainer wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.canonical import H, Json
from features.spec import FeatureSpec
from features.spelling import nearest
from storage.catalogue import counted
from storage.clips import FORGOTTEN, LABEL, is_listed
from storage.errors import NotPublished, UnknownLabel
from storage.groups import split as split_group
from storage.lookup import Stale
from storage.records import Published

if TYPE_CHECKING:
    from storage.reading import StoreReader

#: the feature that tells a clip's clock
TIMELINE = "timeline"
#: in ``left_out``, of clips that the last ingest of their corpus didn't list
UNLISTED = "unlisted"

LabelRate = Literal["auto", "frame", "clip"]


@dataclass(frozen=True)
class SelectedClip:
    """One clip, with the result of every wanted feature and frame label.

    Attributes:
        results: feature (``label.<name>`` for frame labels) -> its published result.
        labels: name -> value of its clip label; None is unlabelled.
    """

    corpus: str
    clip: str
    subject: str | None
    split: str | None
    results: Mapping[str, Published]
    labels: Mapping[str, float | int | str | None]


@dataclass(frozen=True, eq=False)
class Selection:
    """Clips in order of corpus and id.

    Attributes:
        features: what was asked for.
        frame_labels, clip_labels: names of the labels, by where they lie.
        specs: feature (``label.<name>`` too) -> what it is.
        classes: clip label of words -> its words in order, over the whole corpus.
        left_out: how many clips lack something, and what it is; ``unlisted`` ones too.
        variant, stale: as they were asked for, for what is looked up later.
        notes: what the person who trains should know, one line each.
    """

    store: StoreReader
    features: tuple[str, ...]
    frame_labels: tuple[str, ...]
    clip_labels: tuple[str, ...]
    specs: Mapping[str, FeatureSpec]
    clips: tuple[SelectedClip, ...]
    classes: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, int]
    variant: str | None
    stale: Stale
    notes: tuple[str, ...] = ()
    _timelines: dict[tuple[str, str], Published] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.clips)

    def fingerprint(self, feature: str) -> str:
        """One digest of a feature's fingerprints of all clips: equal if the same was read."""
        return read_digest(feature, [c.results[feature].fingerprint for c in self.clips])

    def contents(self, feature: str) -> list[str]:
        """Content hashes of a feature, in order of the clips."""
        return [c.results[feature].content for c in self.clips]

    def times(self, clip: SelectedClip) -> NDArray[np.float64]:
        """Seconds of a clip's frames; timelines are looked up for all of a corpus at once.

        Raises:
            NotPublished, StaleResult: the clip has no timeline that is wanted.
        """
        found = clip.results.get(TIMELINE) or self._timeline(clip)
        return np.asarray(self.store.read_result(found).values, np.float64).reshape(-1)

    def _timeline(self, clip: SelectedClip) -> Published:
        key = (clip.corpus, clip.clip)
        if key not in self._timelines:
            names = [c.clip for c in self.clips if c.corpus == clip.corpus]
            found = self.store.select(
                [TIMELINE], clip.corpus, clips=names, variant=self.variant, stale=self.stale
            )
            self._timelines.update({(r.corpus, r.clip): r for r in found})
        # the look-up of one clip tells what it lacks
        return self._timelines.get(key) or self.store.rows(
            clip.clip, TIMELINE, corpus=clip.corpus, variant=self.variant, stale=self.stale
        )

    def clip_label(self, name: str) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Values ``(clips,)`` of a clip label and where it is known.

        Words are their position in ``classes`` (int64, 0 where unknown), numbers are float64
        (NaN where unknown).
        """
        given = [c.labels[name] for c in self.clips]
        known = np.array([v is not None for v in given], bool)
        if name in self.classes:
            place = {word: i for i, word in enumerate(self.classes[name])}
            return np.array([place[str(v)] if v is not None else 0 for v in given]), known
        return np.array([np.nan if v is None else float(v) for v in given], np.float64), known


def select_clips(
    store: StoreReader,
    features: Sequence[str],
    corpus: str | None = None,
    *,
    split: str | None = None,
    clips: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    label_rate: LabelRate = "auto",
    variant: str | None = None,
    stale: Stale = "raise",
) -> Selection:
    """The clips that have every feature and frame label; others are counted in ``left_out``.

    Clips that the last ingest of their corpus didn't list are left out, unless ``clips`` names
    them.

    Args:
        labels: names without ``label.``; each is a frame label if the corpus has one of that
            name, else a clip label.
        label_rate: ``frame`` or ``clip`` where a name is both.

    Raises:
        UnknownLabel: the corpus has no such label.
        NotPublished: no clip has everything, or a feature is ragged.
        UnknownCorpus, UnknownVariant, StaleResult: see ``StoreReader.select``.
    """
    for name in features:
        if split_group(name)[1] is not None:
            raise NotPublished(
                f"{name} is a group of columns, and trainers read whole features; read "
                f"{split_group(name)[0]} and take its columns"
            )
    table = store.clips(corpus)
    per_frame, per_clip = _label_rates(store, table.column_names, corpus, labels, label_rate)
    wanted = [*features, *(LABEL + name for name in per_frame)]
    given = None if clips is None else list(clips)
    found = store.select(wanted, corpus, split=split, clips=given, variant=variant, stale=stale)
    by_clip: dict[tuple[str, str], dict[str, Published]] = {}
    for result in found:
        by_clip.setdefault((result.corpus, result.clip), {})[result.feature] = result
    rows = {(r["corpus"], r["clip"]): r for r in table.to_pylist()}
    asked = None if given is None else frozenset(given)
    chosen, left_out = list[SelectedClip](), Counter[str]()
    for key in sorted(rows):
        row, results = rows[key], by_clip.get(key, {})
        if not _is_asked(row, split, asked):
            continue
        if lack := _lack(row, results, wanted, named=asked is not None):
            left_out[lack] += 1
            continue
        values = {name: row[LABEL + name] for name in per_clip}
        chosen.append(SelectedClip(key[0], key[1], row["subject"], row["split"], results, values))
    where = " ".join(filter(None, [corpus, split]))
    if not chosen:
        lacks = ", ".join(f"{name} ({n} clips)" for name, n in left_out.items())
        raise NotPublished(f"no clip of {where or 'the store'} has all of it; missing: {lacks}")
    specs = {name: store.spec(chosen[0].results[name]) for name in wanted}
    ragged = [name for name, spec in specs.items() if spec.ragged]
    if ragged:
        raise NotPublished(f"{ragged[0]} is ragged: read its rows clip by clip")
    notes = tuple(
        f"{counted(n, 'clip')} of {where or 'the store'} left out: "
        + ("not listed by the last ingest" if name == UNLISTED else f"no {name}")
        for name, n in left_out.items()
    )
    listed = [row for row in rows.values() if is_listed(row)]
    words = {name: _words([row[LABEL + name] for row in listed]) for name in per_clip}
    return Selection(
        store,
        tuple(features),
        tuple(per_frame),
        tuple(per_clip),
        specs,
        tuple(chosen),
        {name: classes for name, classes in words.items() if classes},
        left_out,
        variant,
        stale,
        notes,
    )


def _is_asked(row: Mapping[str, Any], split: str | None, clips: Collection[str] | None) -> bool:
    """A clip of the split that wasn't forgotten, and one of ``clips``, if any are named."""
    of_split = split is None or row["split"] == split
    return of_split and row["state"] != FORGOTTEN and (clips is None or row["clip"] in clips)


def _lack(
    row: Mapping[str, Any], results: Mapping[str, Published], wanted: Sequence[str], named: bool
) -> str | None:
    """Why a clip is left out: ``UNLISTED`` (unless it was named), a feature, or ``rows``."""
    if not named and not is_listed(row):
        return UNLISTED
    missing = next((name for name in wanted if name not in results), None)
    empty = missing is None and any(results[name].rows == 0 for name in wanted)
    return "rows" if empty else missing


def read_digest(what: str, parts: Sequence[Json]) -> str:
    """One digest of what was read: equal if the same was read in the same order."""
    return H("read", what, parts)


def _label_rates(
    store: StoreReader,
    columns: Sequence[str],
    corpus: str | None,
    labels: Sequence[str],
    rate: LabelRate,
) -> tuple[list[str], list[str]]:
    """The labels that are features, and those that are columns of the clips."""
    if not labels:
        return [], []
    names = [LABEL + name for name in labels]
    published = store.catalogue(corpus, features=names, columns=["feature"])
    frames = set(published["feature"].to_pylist()) if rate != "clip" else set()
    per_frame = [n for n in labels if LABEL + n in frames]
    per_clip = [n for n in labels if n not in per_frame]
    for name in per_clip:
        if LABEL + name not in columns or rate == "frame":
            known = sorted({c.removeprefix(LABEL) for c in columns if c.startswith(LABEL)})
            kind = {"frame": "frame label", "clip": "clip label"}.get(rate, "label")
            there = ", ".join(known) or "none (ingest again with an adapter or a table that has it)"
            raise UnknownLabel(
                f"{corpus or 'the store'} has no {kind} {name!r}{nearest(name, known)}; "
                f"clip labels are: {there}"
            )
    return per_frame, per_clip


def _words(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(sorted({v for v in values if isinstance(v, str)}))
