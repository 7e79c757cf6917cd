"""OpenFace CSV files that a lab has already become further files of the clips they belong to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corpora.manifest import composed
from features.errors import RequestError
from features.openface.errors import BadCsv
from features.openface.faces import aligned_folder
from features.openface.single import FACES_ROLE, ROLE
from features.openface.table import Table, read_table
from features.openface_columns import COLUMNS_714, GROUPS
from flows.assets import Asset, add_assets
from storage import FeatureStore
from storage.clips import FORGOTTEN

SUFFIXES = (".csv.gz", ".csv")


@dataclass
class Imported:
    """What import found.

    Attributes:
        clips: corpus/clip -> its file; changed: clips whose files are others than before.
        layouts: columns in a file -> number of files.
        missing: corpus/clip -> what its file lacks, in words.
        faces: clips with a folder of aligned faces.
        unmatched: files that belong to no clip, or to which of several isn't clear.
        refused: file -> why it can't be used.
        without: clips of the corpora at hand that have no file.
    """

    clips: dict[str, str] = field(default_factory=dict)
    changed: int = 0
    layouts: dict[int, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    faces: int = 0
    unmatched: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    without: int = 0

    def to_json(self) -> dict[str, object]:
        """The facts, for ``import openface --json``."""
        return dict(vars(self))


def import_openface(store: FeatureStore, folder: Path, corpus: str | None = None) -> Imported:
    """Give clips the CSV files of a folder (and of those below it), by name.

    A file belongs to the clips whose id is its path without suffix, else to those whose medium
    has its name; cuts of one medium share it. Every file is read whole before anything changes;
    damaged ones are left out. ``affectstore extract --features openface`` then publishes them.

    Raises:
        RequestError: the folder isn't there, or holds no CSV file.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is no folder; name the one with OpenFace's CSV files")
    files = sorted(p for p in folder.rglob("*") if p.name.lower().endswith(SUFFIXES))
    if not files:
        raise RequestError(f"{folder} holds no .csv or .csv.gz file; name OpenFace's -out_dir")
    report, found = Imported(), defaultdict[str, dict[str, list[Asset]]](dict)
    layouts: Counter[int] = Counter()
    matches = _match(store, folder, files, corpus)
    for path in files:
        owners = matches.get(path)
        if not owners:
            report.unmatched.append(str(path))
            continue
        try:
            table = _checked(path)
        except BadCsv as error:
            report.refused[str(path)] = str(error)
            continue
        layouts[table.layout] += 1
        assets = [{"role": ROLE, "uri": str(path)}]
        if aligned_folder(path).is_dir():
            assets.append({"role": FACES_ROLE, "uri": str(aligned_folder(path))})
            report.faces += len(owners)
        for owner, clip in owners:
            found[owner][clip] = assets
            report.clips[f"{owner}/{clip}"] = str(path)
            if table.missing:
                report.missing[f"{owner}/{clip}"] = lacking(table)
    report.changed = sum(add_assets(store, owner, files) for owner, files in found.items())
    report.layouts = dict(sorted(layouts.items()))
    names = [corpus] if corpus else list(found)
    report.without = sum(len(_ids(store, c) - found[c].keys()) for c in names)
    return report


def lacking(table: Table) -> str:
    """The columns that a file lacks, whole groups by their name: ``eye_landmarks, face_id``."""
    missing, words = set(table.missing), []
    for group, (start, stop) in GROUPS.items():
        columns = COLUMNS_714[start:stop]
        gone = [c for c in columns if c in missing]
        words += [group] if len(gone) == len(columns) else gone
    return ", ".join(words)


def _checked(path: Path) -> Table:
    """The file's table, if it is one of a single face."""
    table = read_table(path)
    if len(np.unique(table.frame)) != len(table.frame):
        raise BadCsv(
            f"{path.name} has several rows of a frame: the output for several faces, which can't "
            "be imported as openface; run FeatureExtraction, or extract openface_multi"
        )
    return table


def _match(
    store: FeatureStore, folder: Path, files: Iterable[Path], corpus: str | None
) -> dict[Path, list[tuple[str, str]]]:
    """File -> the (corpus, clip) that it belongs to."""
    by_id: dict[str, list[tuple[str, str]]] = defaultdict(list)
    by_medium: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in store.clips(corpus).to_pylist():
        if row["state"] == FORGOTTEN:
            continue
        owner = (row["corpus"], row["clip"])
        by_id[composed(row["clip"])].append(owner)
        by_medium[composed(Path(row["uri"]).stem)][row["uri"]].append(owner)
    matches: dict[Path, list[tuple[str, str]]] = {}
    taken: dict[tuple[str, str], Path] = {}
    for path in files:
        relative = _stem(path.relative_to(folder).as_posix())
        media = by_medium.get(_stem(path.name), {})
        owners = by_id.get(relative) or (next(iter(media.values())) if len(media) == 1 else [])
        matches[path] = [owner for owner in owners if taken.setdefault(owner, path) == path]
    return matches


def _stem(name: str) -> str:
    name = composed(name)
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _ids(store: FeatureStore, corpus: str) -> set[str]:
    return {r["clip"] for r in store.clips(corpus).to_pylist() if r["state"] != FORGOTTEN}
