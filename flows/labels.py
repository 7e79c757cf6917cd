"""Labels that a corpus brings: published, left as they are, withdrawn, or kept and named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from corpora.manifest import FrameLabels, Manifest
from features.canonical import H
from features.spec import FeatureSpec, Rows
from storage import FeatureStore
from storage.amend import amend
from storage.clips import LABEL
from storage.clock import after
from storage.content import content_hash
from storage.records import Published
from storage.withdrawn import commit_kept

#: the run by which a label is an ingest's, and not somebody's own
RUN = "ingest"


def publish_labels(store: FeatureStore, manifest: Manifest, gone: set[str]) -> None:
    """Frame labels become features ``label.<name>``; unchanged ones are left as they are.

    Args:
        gone: clips that were forgotten, whose labels are left out.
    """
    for name in _frame_names(manifest):
        labels = {
            clip: next(x for x in given if x.name == name)
            for clip, given in manifest.frame_labels.items()
            if clip not in gone and any(x.name == name for x in given)
        }
        if labels:
            commit_kept(store, _label_rows(store, manifest.corpus, name, labels), [])


def withdraw_labels(store: FeatureStore, manifest: Manifest) -> dict[str, int]:
    """Take frame labels of earlier ingests from listed clips that have them no more.

    Only labels that the manifest gives of any clip: of others it says nothing. Tags and earlier
    versions keep them; so does a clip that isn't listed, and what somebody else published.

    Returns:
        Name of a label -> from how many clips it was taken.
    """
    taken: dict[str, int] = {}
    catalogue = store.snapshot["catalogue"]
    for name in _frame_names(manifest):
        given = {
            c for c, labels in manifest.frame_labels.items() if name in {x.name for x in labels}
        }
        without = pa.array([e.clip for e in manifest.clips if e.clip not in given], pa.string())
        where = {"corpus": manifest.corpus, "feature": LABEL + name}

        rows = catalogue.read(where, ["clip", "run"])
        clips = pc.count_distinct(rows["clip"].filter(_ingested(rows, without))).as_py()
        if clips:
            said = f"{manifest.corpus}: {name} of {clips} clips isn't given any more"
            amend(catalogue, where, partial(_less, clips=without), said)
            taken[name] = clips
    return taken


def _less(rows: pa.Table, clips: pa.Array) -> pa.Table:
    return rows.filter(pc.invert(_ingested(rows, clips)))


def _ingested(rows: pa.Table, clips: pa.Array) -> pa.ChunkedArray:
    """Which catalogue rows of these clips are of an ingest."""
    ours = pc.equal(rows["run"].cast(pa.string()), RUN)
    return pc.and_(ours, pc.is_in(rows["clip"].cast(pa.string()), value_set=clips))


def not_given(store: FeatureStore, manifest: Manifest) -> list[str]:
    """Labels that listed clips have in the store and of which the manifest says nothing."""
    listed = pa.array([entry.clip for entry in manifest.clips], pa.string())
    clips = store.clips(manifest.corpus)
    clips = clips.filter(pc.is_in(clips["clip"], value_set=listed))
    names = {name for entry in manifest.clips for name in entry.labels}
    columns = (c.removeprefix(LABEL) for c in clips.column_names if c.startswith(LABEL))
    kept = {c for c in columns if c not in names and clips[LABEL + c].null_count < len(clips)}
    others = {LABEL + name for name in _frame_names(manifest)}
    frames = [f for f in store.features(manifest.corpus) if f.startswith(LABEL) and f not in others]
    rows = store.catalogue(manifest.corpus, features=frames, columns=["clip", "feature", "run"])
    rows = rows.filter(_ingested(rows, listed))
    return sorted(kept | {f.removeprefix(LABEL) for f in pc.unique(rows["feature"]).to_pylist()})


def _frame_names(manifest: Manifest) -> list[str]:
    return sorted({x.name for labels in manifest.frame_labels.values() for x in labels})


def _label_rows(
    store: FeatureStore, corpus: str, name: str, labels: dict[str, FrameLabels]
) -> list[Published]:
    first = next(iter(labels.values()))
    spec = FeatureSpec(
        f"label.{name}",
        "frame",
        first.values.shape[1:],
        first.values.dtype.name,
        units=first.units,
        description=first.description,
    )
    known = {p.clip: p for p in store.published(corpus=corpus, features=[spec.name])}
    made: list[Published] = []
    with store.writer(spec, {"extractor": "label"}) as writer:
        for clip, label in sorted(labels.items()):
            rows, last = Rows(label.values, label.valid), known.get(clip)
            if last is not None and last.content == content_hash(rows):
                continue
            writer.begin()
            writer.append(rows)
            stored = writer.finish()
            row = stored.published(
                corpus,
                clip,
                spec.name,
                fingerprint=H("published", spec.name, stored.content),
                extractor_key=H("label", spec.name),
                run=RUN,
                time=after([last.time] if last else []),
            )
            made.append(replace(row, t0=0.0, step=None))
    return made
