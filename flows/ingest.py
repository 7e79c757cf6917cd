"""Ingest: a corpus' own files become clips of the store; headers and hashes only, no decoding."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.manifest import Manifest, composed
from features.errors import MediaError
from features.media.probe import Probe, probe, sha256_file
from features.spelling import shortened
from flows.assets import with_assets
from flows.corrections import keep_overrides
from flows.labels import not_given, publish_labels, withdraw_labels
from storage import FeatureStore
from storage.clips import FORGOTTEN
from storage.keys import MICROSECONDS, media_key
from storage.schemas import CLIPS

#: called with how many are done, of how many
Tell = Callable[[int, int], None]
#: files hashed and probed at a time; both wait for the disk
THREADS = 4
#: of a clip's row, what its medium's headers say
PROBED = (
    *("duration", "width", "height", "fps"),
    *("video_codec", "audio_codec", "audio_rate", "audio_channels"),
)


@dataclass
class Ingested:
    """What ingest found.

    Attributes:
        problems: clip -> why its file will go to quarantine when something is extracted.
        absent: clips of earlier ingests that aren't listed any more; their results stay, and
            trainers leave them out.
        forgotten: clips that were listed but left out, since they had to be forgotten.
        labels: names of the frame labels; withdrawn: name of one -> how many listed clips had it
            by an earlier ingest, and have it no more.
        kept_labels: names of labels that listed clips have by earlier ingests, and of which this
            one gave nothing at all: they stay.
    """

    corpus: str
    clips: int = 0
    new: int = 0
    changed: int = 0
    seconds: float = 0.0
    subjects: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    withdrawn: dict[str, int] = field(default_factory=dict)
    kept_labels: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The facts, for ``ingest --json``."""
        return dict(vars(self))


@dataclass(frozen=True)
class _File:
    """What is known of one file; equal for all clips that are cut from it.

    Attributes:
        sha256, size, mtime_ns: of its last reading; empty and 0 if it could never be read.
        away: it can't be read now.
    """

    sha256: str
    size: int
    mtime_ns: int
    probe: Probe | None
    problem: str | None
    away: bool = False


def ingest_manifest(
    store: FeatureStore,
    manifest: Manifest,
    *,
    force_forgotten: bool = False,
    tell: Tell = lambda done, of: None,
) -> Ingested:
    """Upsert a manifest's clips; files that can't be read are kept and reported.

    Args:
        force_forgotten: take in again what was forgotten, since consent was given anew.
        tell: called with how many files were looked at, of how many.
    """
    table = manifest.to_table()
    before = {r["clip"]: r for r in _clips_of(store, manifest.corpus)}
    gone = {c for c, r in before.items() if r["state"] == FORGOTTEN and not force_forgotten}
    # older stores may have ids as a Mac spells them
    gone |= {composed(clip) for clip in gone}
    table = table.filter(pc.invert(pc.is_in(table["clip"], value_set=pa.array(gone, pa.string()))))
    files = _files(table["uri"].to_pylist(), before.values(), tell)
    rows = []
    for entry in table.to_pylist():
        file, last = files[entry["uri"]], before.get(entry["clip"], {})
        row = _clip_row(entry, file)
        if file.away and last.get("sha256"):
            _keep_medium(row, last)
        row["earlier_cuts"] = _earlier_cuts(row, last)
        keep_overrides(row, last)
        known = last.get("assets") or []
        given = [{"role": a["role"], "uri": a["uri"]} for a in entry["assets"]]
        if file.away:
            hashed = [{"role": a["role"], "uri": a["uri"]} for a in known]
            given = [a for a in given if a not in hashed]
        with_assets(row, given, known)
        rows.append(row)
    report = _report(manifest, rows, {c: r for c, r in before.items() if c not in gone})
    report.forgotten = sorted(gone & {entry["clip"] for entry in manifest.to_table().to_pylist()})
    clips = pa.Table.from_pylist(rows) if rows else pa.table({"clip": pa.array([], pa.string())})
    for name in table.column_names:
        if rows and name.startswith("label."):
            clips = _set(clips, name, table[name])
    if rows:
        for name in ("assets", "earlier_cuts"):
            kind = CLIPS.field(name).type
            clips = _set(clips, name, pa.chunked_array([[r[name] for r in rows]], kind))
    store.upsert_clips(manifest.corpus, clips, complete=True, revive=force_forgotten)
    publish_labels(store, manifest, gone)
    report.withdrawn = withdraw_labels(store, manifest)
    report.kept_labels = not_given(store, manifest)
    return report


def _clips_of(store: FeatureStore, corpus: str) -> list[dict[str, Any]]:
    if corpus not in store.corpora():
        return []
    rows: list[dict[str, Any]] = store.clips(corpus).to_pylist()
    return rows


def _files(uris: Iterable[str], known: Iterable[dict[str, Any]], tell: Tell) -> dict[str, _File]:
    """Hash and probe each file once; the hash of an unchanged file is taken from the store."""
    hashes = {(r["uri"], r["size"], r["mtime_ns"]): r["sha256"] for r in known if r["sha256"]}
    last = {uri: (sha256, size, mtime) for (uri, size, mtime), sha256 in hashes.items()}

    def look(uri: str) -> _File:
        try:
            status = os.stat(uri)
            sha256 = hashes.get((uri, status.st_size, status.st_mtime_ns)) or sha256_file(uri)
        except (OSError, MediaError) as error:
            code = getattr(error, "code", "media_missing")
            sha256, size, mtime_ns = last.get(uri, ("", 0, 0))
            return _File(sha256, size, mtime_ns, None, f"{code}: {error}", away=True)
        try:
            return _File(sha256, status.st_size, status.st_mtime_ns, probe(uri), None)
        except MediaError as error:
            problem = f"{error.code}: {error}"
            return _File(sha256, status.st_size, status.st_mtime_ns, None, problem)

    unique = sorted(set(uris))
    found: dict[str, _File] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        for uri, file in zip(unique, threads.map(look, unique), strict=True):
            found[uri] = file
            tell(len(found), len(unique))
    return found


def _clip_row(entry: dict[str, Any], file: _File) -> dict[str, Any]:
    video = file.probe.video if file.probe else None
    audio = file.probe.audio if file.probe else None
    return {
        "clip": entry["clip"],
        "uri": entry["uri"],
        "sha256": file.sha256,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "start_us": entry["start_us"],
        "stop_us": entry["stop_us"],
        "media_key": media_key(file.sha256, entry["start_us"], entry["stop_us"]),
        "subject": entry["subject"],
        "split": entry["split"],
        "state": "present" if os.path.lexists(entry["uri"]) else "missing",
        "problem": file.problem,
        "duration": _duration(entry, file.probe),
        "width": video.width if video else None,
        "height": video.height if video else None,
        "fps": video.fps if video else None,
        "video_codec": video.codec if video else None,
        "audio_codec": audio.codec if audio else None,
        "audio_rate": audio.rate if audio else None,
        "audio_channels": audio.channels if audio else None,
        "attrs": entry["attrs"],
    }


def _keep_medium(row: dict[str, Any], last: dict[str, Any]) -> None:
    """Let a clip whose file can't be read now have the medium that it had: its results stay.

    A file of another name has no size and time, by which it could be taken for the one hashed.
    """
    moved = row["uri"] != last["uri"]
    stamp = {"size": 0, "mtime_ns": 0} if moved else {}
    duration = {} if row["duration"] is None else {"duration": row["duration"]}
    row.update({name: last[name] for name in ("sha256", *PROBED)} | stamp | duration)
    row["media_key"] = media_key(row["sha256"], row["start_us"], row["stop_us"])


def _earlier_cuts(row: dict[str, Any], last: dict[str, Any]) -> list[str]:
    """Media keys of the clip's file under the cuts that it had before; none of another file."""
    if not row["sha256"] or last.get("sha256") != row["sha256"]:
        return []
    known = dict.fromkeys([*(last.get("earlier_cuts") or ()), last["media_key"]])
    return [key for key in known if key != row["media_key"]]


def _duration(entry: dict[str, Any], found: Probe | None) -> float | None:
    """Seconds of the clip as the headers say."""
    whole = found.duration if found else None
    start = (entry["start_us"] or 0) / MICROSECONDS
    if entry["stop_us"] is not None:
        return float(entry["stop_us"] / MICROSECONDS - start)
    return None if whole is None else max(0.0, whole - start)


def _set(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)


def _report(
    manifest: Manifest, rows: list[dict[str, Any]], before: dict[str, dict[str, Any]]
) -> Ingested:
    names = {r["clip"] for r in rows}
    return Ingested(
        corpus=manifest.corpus,
        clips=len(rows),
        new=len(names - before.keys()),
        changed=sum(
            r["clip"] in before and before[r["clip"]]["media_key"] != r["media_key"] for r in rows
        ),
        seconds=sum(r["duration"] or 0.0 for r in rows),
        subjects=len({r["subject"] for r in rows if r["subject"]}),
        problems={r["clip"]: r["problem"] for r in rows if r["problem"]},
        absent=sorted(before.keys() - names),
        labels=sorted(
            {
                x.name
                for clip, labels in manifest.frame_labels.items()
                for x in labels
                if clip in names
            }
        ),
        warnings=[*manifest.warnings, *_shared_subjects(rows)],
    )


def _shared_subjects(rows: list[dict[str, Any]]) -> list[str]:
    """A warning of subjects whose clips are in more than one split, if there are any."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["subject"] and row["split"]:
            splits[row["subject"]].add(row["split"])
    shared = [f"{s} ({', '.join(sorted(x))})" for s, x in sorted(splits.items()) if len(x) > 1]
    if not shared:
        return []
    what = "1 subject is" if len(shared) == 1 else f"{len(shared)} subjects are"
    return [
        f"{what} in more than one split; a model would be scored on people that it learned from: "
        f"{shortened(shared)}"
    ]
