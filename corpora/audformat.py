"""The adapter ``audformat``: databases of the audformat package, read and written."""

from __future__ import annotations

import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from corpora.errors import (
    BadLabels,
    BadTable,
    CorpusError,
    DuplicateClip,
    ForeignFolder,
    SourceMissing,
)
from corpora.files import absent_files
from corpora.folder import clip_ids
from corpora.manifest import ClipEntry, Label, Manifest, cut_problem, id_problem, microseconds

HEADER = "db.yaml"
#: our splits -> audformat's kinds of them; the rest is of the kind OTHER and goes by its id
KINDS = {"train": "train", "val": "dev", "test": "test"}
OTHER = "other"
#: columns and schemes that name who is seen or heard
SUBJECTS = ("speaker", "subject")

#: a row: its clip, and column -> label
_Cells = tuple[ClipEntry, Mapping[str, Label]]
#: file, start and stop in microseconds
_Cut = tuple[str, int, int | None]


def read_audformat(source: str | Path, corpus: str) -> Manifest:
    """A clip per file, or per segment, of a database's tables.

    A clip's id is the file's path without extension (with it where two files would have one), and
    for segments ``/<start>-<stop>`` in milliseconds (``open`` without an end). Rows of several
    tables about the same file and the same microseconds are one clip. Columns become labels,
    named ``table.column`` where two tables contradict each other; categories are words, times
    seconds. A column ``speaker`` (or of that scheme) is the subject; a whole file's is that of its
    segments, too, where no table names theirs. A table's split counts for its rows.

    Raises:
        CorpusError: the package audformat isn't installed.
        SourceMissing: no such folder, or no ``db.yaml`` in it. BadTable: it can't be read.
        BadLabels: a clip is in tables of two splits, or has two subjects. DuplicateClip: a table
            has a segment twice, or two files can't be told apart by an id.
    """
    root = Path(os.path.abspath(source))
    if not (root / HEADER).is_file():
        raise SourceMissing(f"{root}: no {HEADER}; give the folder of an audformat database")
    audformat = _package()
    try:
        database = audformat.Database.load(str(root), load_data=True)
    except Exception as error:  # audformat and what it rests on raise whatever they like
        raise BadTable(f"{root / HEADER}: {type(error).__name__}: {error}") from error
    rows = {name: list(_rows(root, database.tables[name])) for name in sorted(database.tables)}
    rows = _named(root, rows)
    unlike = _contradicted(rows)
    clips: dict[str, ClipEntry] = {}
    for table_id, found in rows.items():
        table = database.tables[table_id]
        split = _split(database, table)
        subject = next(
            (c for c in table.columns if c in SUBJECTS or table.columns[c].scheme_id in SUBJECTS),
            None,
        )
        for entry, cells in found:
            known = clips.get(entry.clip, entry)
            who = _text(cells.get(subject)) if subject else None
            if who and known.subject and who != known.subject:
                raise BadLabels(
                    f"{root / HEADER}: table {table_id}: {entry.clip} has the subjects "
                    f"{known.subject} and {who}; a clip can have one"
                )
            if split and known.split and split != known.split:
                raise BadLabels(
                    f"{root / HEADER}: table {table_id}: {entry.clip} is in the splits "
                    f"{known.split} and {split}; a clip can be in one"
                )
            given = {
                f"{table_id}.{c}" if c in unlike else c: value
                for c, value in cells.items()
                if c != subject and value is not None
            }
            clips[entry.clip] = replace(
                known,
                split=split or known.split,
                subject=who or known.subject,
                labels={**known.labels, **given},
            )
    people = {c.uri: c.subject for c in clips.values() if not c.start and c.stop is None}
    whole = [clips[name] for name in sorted(clips)]
    whole = [replace(c, subject=c.subject or people.get(c.uri)) for c in whole]
    every = {name for clip in whole for name in clip.labels}
    whole = [replace(c, labels=dict.fromkeys(every) | dict(c.labels)) for c in whole]
    return Manifest(corpus, tuple(whole), warnings=tuple(absent_files(whole)))


def write_audformat(manifest: Manifest, folder: Path) -> list[str]:
    """Write clips, splits, subjects and labels of clips as a database.

    Media are named by paths relative to the folder, and not copied. Assets, attributes and labels
    per frame have no place in it.

    Returns:
        What was left out, a line each.

    Raises:
        CorpusError: the package audformat isn't installed.
        ForeignFolder: the folder holds something. DuplicateClip: two clips are the same part of
            one file. BadLabels: a label has the name of the subject's column.
    """
    audformat = _package()
    if folder.exists() and any(folder.iterdir()):
        raise ForeignFolder(f"{folder} holds something already; choose another folder")
    _check_writable(manifest)
    database = audformat.Database(manifest.corpus)
    names = sorted({name for clip in manifest.clips for name in clip.labels})
    for name in names:
        given = {clip.labels.get(name) for clip in manifest.clips} - {None}
        database.schemes[name] = _scheme(audformat, given)
    subjects = sorted({c.subject for c in manifest.clips if c.subject})
    if subjects:
        database.schemes[SUBJECTS[0]] = audformat.Scheme(labels=subjects)
    for number, split in enumerate(sorted({c.split or "" for c in manifest.clips})):
        clips = [c for c in manifest.clips if (c.split or "") == split]
        if split:
            database.splits[split] = audformat.Split(KINDS.get(split, OTHER))
        index = audformat.segmented_index(
            [PurePosixPath(os.path.relpath(c.uri, folder)).as_posix() for c in clips],
            starts=[f"{microseconds(c.start or 0.0)}us" for c in clips],
            ends=[None if c.stop is None else f"{microseconds(c.stop)}us" for c in clips],
        )
        table = audformat.Table(index, split_id=split or None)
        # ids of tables become file names
        plain = re.fullmatch(r"[A-Za-z0-9_-]+", split)
        database[f"clips_{split if plain else number}" if split else "clips"] = table
        for name in names:
            table[name] = audformat.Column(scheme_id=name)
            told = database.schemes[name].dtype == "str"
            cells = [c.labels.get(name) for c in clips]
            table[name].set([str(v) if told and v is not None else v for v in cells])
        if subjects:
            table[SUBJECTS[0]] = audformat.Column(scheme_id=SUBJECTS[0])
            table[SUBJECTS[0]].set([c.subject for c in clips])
    database.save(str(folder), storage_format="csv")
    left = sorted({label.name for labels in manifest.frame_labels.values() for label in labels})
    said = [f"labels per frame are left out: {', '.join(left)}"] if left else []
    if any(c.assets or c.attrs for c in manifest.clips):
        said.append("assets and attributes of clips are left out")
    return said


def _check_writable(manifest: Manifest) -> None:
    """Refuse what a database can't hold, or would give back as something else."""
    taken = sorted({name for c in manifest.clips for name in c.labels} & set(SUBJECTS))
    if taken:
        raise BadLabels(
            f"label {taken[0]} of {manifest.corpus} would be read back as the clips' subject; give "
            "it another name"
        )
    seen: dict[_Cut, str] = {}
    for entry in manifest.clips:
        if seen.setdefault(_cut(entry), entry.clip) != entry.clip:
            raise DuplicateClip(
                f"clips {seen[_cut(entry)]} and {entry.clip} are the same part of {entry.uri}, "
                "which audformat can't tell apart; write them to databases of their own"
            )


def _package() -> ModuleType:
    if importlib.util.find_spec("audformat") is None:
        raise CorpusError(
            "the package audformat isn't installed; pip install 'affectstore[audformat]'"
        )
    import audformat

    module: ModuleType = audformat
    return module


def _split(database: Any, table: Any) -> str | None:
    if table.split_id is None:
        return None
    kind = database.splits[table.split_id].type
    return next((ours for ours, theirs in KINDS.items() if theirs == kind), str(table.split_id))


def _contradicted(
    rows: Mapping[str, list[_Cells]],
) -> set[str]:
    """Columns of which two tables say different things about a clip."""
    seen: dict[tuple[str, str], Label] = {}
    unlike = set()
    for found in rows.values():
        for entry, cells in found:
            for column, value in cells.items():
                if value is None:
                    continue
                if seen.setdefault((entry.clip, column), value) != value:
                    unlike.add(column)
    return unlike


def _rows(root: Path, table: Any) -> Iterator[_Cells]:
    """An entry and its cells for each row of a table; its id is the file's path for now."""
    frame = table.df.reset_index()
    columns = list(table.columns)
    for row in frame.to_dict("records"):
        file = PurePosixPath(str(row["file"]))
        start, stop = _seconds(row.get("start")), _seconds(row.get("end"))
        name = os.path.normpath(file).lstrip("/").replace("../", "")
        problem = id_problem(name) or cut_problem(start, stop)
        if problem:
            raise BadTable(f"{root / HEADER}: file {file}: {problem}")
        entry = ClipEntry(name, os.path.abspath(root / file), start=start or None, stop=stop)
        yield entry, {c: _label(row[c]) for c in columns}


def _named(root: Path, tables: Mapping[str, list[_Cells]]) -> dict[str, list[_Cells]]:
    """The same with the clips' ids: two rows have one if file and cut are the same.

    Raises:
        DuplicateClip: a table says two things of one clip, or two files would have one id.
    """
    files = {entry.uri: entry.clip for found in tables.values() for entry, _ in found}
    stems = dict(zip(files, clip_ids(list(files.values())), strict=True))
    cuts = {_cut(entry) for found in tables.values() for entry, _ in found}
    count = Counter(_id(stems, cut) for cut in cuts)
    ids = {cut: _id(stems, cut, exact=count[_id(stems, cut)] > 1) for cut in cuts}
    owners: dict[str, str] = {}
    for cut, clip in ids.items():
        if owners.setdefault(clip, cut[0]) != cut[0]:
            raise DuplicateClip(
                f"{root / HEADER}: {owners[clip]} and {cut[0]} would both be clip {clip!r}; rename "
                "one of the files"
            )
    named: dict[str, list[_Cells]] = {}
    for table, found in tables.items():
        seen: dict[str, Mapping[str, Label]] = {}
        for entry, cells in found:
            clip = ids[_cut(entry)]
            if seen.setdefault(clip, cells) != cells:
                raise DuplicateClip(
                    f"{root / HEADER}: table {table} has {clip} twice, with different cells; "
                    "remove one row"
                )
            named.setdefault(table, []).append((replace(entry, clip=clip), cells))
    return named


def _cut(entry: ClipEntry) -> _Cut:
    return entry.uri, microseconds(entry.start) or 0, microseconds(entry.stop)


def _id(stems: Mapping[str, str], cut: _Cut, *, exact: bool = False) -> str:
    """A file's id, and for a segment its milliseconds: whole ones, unless exact."""
    uri, start, stop = cut
    if not start and stop is None:
        return stems[uri]

    def shown(time: int | None) -> str:
        if time is None:
            return "open"
        return f"{time / 1000:.3f}".rstrip("0").rstrip(".") if exact else str(round(time / 1000))

    return f"{stems[uri]}/{shown(start)}-{shown(stop)}"


def _seconds(value: Any) -> float | None:
    return None if value is None or value != value else float(value.total_seconds())


def _label(value: Any) -> Label:
    """A cell as a label; missing ones (None, NaN, NaT, NA) are None."""
    import pandas

    if value is None or (pandas.api.types.is_scalar(value) and pandas.isna(value)):
        return None
    if isinstance(value, pandas.Timedelta):
        return float(value.total_seconds())
    if isinstance(value, bool):
        return int(value)
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, int | float | str) else str(plain)


def _text(value: Label) -> str | None:
    return None if value is None else str(value)


def _scheme(audformat: ModuleType, given: set[Label]) -> Any:
    if given and all(isinstance(v, int) for v in given):
        return audformat.Scheme("int")
    if given and all(isinstance(v, int | float) for v in given):
        return audformat.Scheme("float")
    return audformat.Scheme(labels=sorted(map(str, given))) if given else audformat.Scheme("str")
