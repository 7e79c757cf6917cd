"""The clips table: merging what an ingest found into what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.catalogue import counted
from storage.errors import Conflict, WrongClips
from storage.schemas import CLIPS
from storage.tables import COMMIT_ATTEMPTS, Table, pause

LABEL = "label."
PRESENT, MISSING = "present", "missing"
#: consent was withdrawn: nothing of the clip is kept but its id, so that it isn't taken in again
FORGOTTEN = "forgotten"
#: ``problem`` of a missing clip that the last ingest of its corpus didn't list
UNLISTED = "unlisted: the corpus's last ingest didn't list it"


def upsert(
    clips: Table, corpus: str, given: pa.Table, *, complete: bool = False, revive: bool = False
) -> None:
    """Merge a corpus's rows into the table in one atomic commit, if that changes anything.

    Arguments and errors: see ``merge_clips``.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        version = clips.version
        schema = clips.schema
        known = clips.read({"corpus": corpus})
        merged = merge_clips(
            *(known, given, corpus),
            complete=complete,
            revive=revive,
            holders=partial(corpora_with, clips),
        )
        if merged is None:
            return
        fresh = counted(len(merged) - len(known), "new clip")
        said = f"{corpus}: {fresh}, {len(merged):,} in all"
        try:
            if any(field.type != merged.schema.field(field.name).type for field in schema):
                others = clips.read().filter(pc.field("corpus") != corpus)
                kinds = [merged.schema.field(n) for n in others.column_names]
                others = others.cast(pa.schema(kinds))
                whole = pa.concat_tables([others, merged], promote_options="permissive")
                clips.rewrite(whole, version, {"what": said})
            else:
                clips.replace(merged, {"corpus": corpus}, version, {"what": said})
            return
        except Conflict:
            if attempt == COMMIT_ATTEMPTS - 1:
                raise
            pause(attempt)


def merge_clips(
    known: pa.Table,
    given: pa.Table,
    corpus: str,
    *,
    complete: bool = False,
    revive: bool = False,
    holders: Callable[[str], list[str]] = lambda label: [],
) -> pa.Table | None:
    """All clips of a corpus after an upsert by clip id, or None if nothing changes.

    Args:
        known: the corpus's rows as they are now.
        given: rows with at least ``clip`` (new clips: ``uri`` and ``media_key`` too) and any of
            the clips table's columns and ``label.<name>`` columns. Columns that it lacks keep
            what is known. NaN counts as null.
        complete: clips of the corpus that ``given`` lacks become ``missing``, their problem
            ``UNLISTED``.
        revive: take forgotten clips in again; else their rows in ``given`` are left out.

    Returns:
        Rows in order of clip; ``time`` is new where a row changed. Whole and real numbers of
        one label, now or earlier, give float64.

    Raises:
        WrongClips: a column is unknown or missing, an id occurs twice or is empty.
    """
    given = _checked(given, corpus, known)
    if not revive:
        given = given.filter(pc.invert(pc.is_in(given["clip"], value_set=forgotten(known))))
    known = known.drop_columns(_retyped(known, given, corpus, complete, holders))
    columns = _columns(known, given)
    names = pc.unique(pa.chunked_array([*_text(known, "clip"), *_text(given, "clip")], pa.string()))
    clips = names.take(pc.sort_indices(names))
    old = pc.index_in(clips, value_set=known["clip"].combine_chunks())
    new = pc.index_in(clips, value_set=given["clip"].combine_chunks())
    absent = pc.is_null(new)
    changed = np.asarray(pc.is_null(old))
    merged: dict[str, pa.Array] = {}
    for name, kind in columns.items():
        before = _column(known, name, kind).take(old)
        if name == "corpus":
            after: pa.Array = pa.array([corpus] * len(clips), pa.string())
        elif name in given.column_names:
            after = pc.if_else(absent, before, _column(given, name, kind).take(new))
        else:
            after = before
        if name == "state":
            after = _states(before, after if name in given.column_names else None, absent, complete)
        if name == "problem":
            after = _problems(after, absent, merged["state"], complete)
        if name != "time":
            changed = changed | _differs(before, after)
        merged[name] = after
    if not changed.any():
        return None
    now = pa.scalar(datetime.now(UTC), CLIPS.field("time").type)
    merged["time"] = pc.if_else(pa.array(changed), now, merged["time"])
    return pa.table(merged)


def is_listed(row: Mapping[str, Any]) -> bool:
    """Whether a clip is one of its corpus still: not forgotten, nor left out by the last ingest.

    Args:
        row: its ``state`` and ``problem``.
    """
    unlisted = row["state"] == MISSING and row["problem"] == UNLISTED
    return row["state"] != FORGOTTEN and not unlisted


def listed(clips: pa.Table) -> pa.Table:
    """The rows for which ``is_listed`` holds."""
    unlisted = pc.and_(
        pc.equal(clips["state"], MISSING), pc.fill_null(pc.equal(clips["problem"], UNLISTED), False)
    )
    return clips.filter(pc.and_not(pc.not_equal(clips["state"], FORGOTTEN), unlisted))


def corpora_with(clips: Table, label: str) -> list[str]:
    """Corpora of which a clip has a value of the label column."""
    rows = clips.read(columns=["corpus", label])
    return sorted({*rows.filter(pc.is_valid(rows[label]))["corpus"].to_pylist()})


def forgotten(known: pa.Table) -> pa.Array:
    """Ids of the clips that were forgotten."""
    rows = known.filter(pc.equal(known["state"], FORGOTTEN))
    return rows["clip"].cast(pa.string()).combine_chunks()


def _checked(given: pa.Table, corpus: str, known: pa.Table) -> pa.Table:
    if "clip" not in given.column_names:
        raise WrongClips(f"{corpus}: the table of clips has no column 'clip'")
    unknown = [n for n in given.column_names if n not in CLIPS.names and not n.startswith(LABEL)]
    if unknown:
        raise WrongClips(f"{corpus}: unknown columns {unknown}; labels are named label.<name>")
    counts = pc.value_counts(given["clip"].cast(pa.string()).combine_chunks()).to_pylist()
    for entry in counts:
        if not entry["values"]:
            raise WrongClips(f"{corpus}: a clip has no id")
        if entry["counts"] > 1:
            raise WrongClips(
                f"{corpus}: clip {entry['values']!r} is listed {entry['counts']} times; "
                "ids must be unique in a corpus"
            )
    fresh = {entry["values"] for entry in counts} - set(known["clip"].to_pylist())
    lacking = [n for n in ("uri", "media_key") if n not in given.column_names]
    if fresh and lacking:
        raise WrongClips(f"{corpus}: new clip {min(fresh)!r} needs the columns {lacking}")
    return given.set_column(
        given.column_names.index("clip"), "clip", given["clip"].cast(pa.string())
    )


def _columns(known: pa.Table, given: pa.Table) -> dict[str, pa.DataType]:
    """Names and types of the merged table: the schema's, then labels in order of name."""
    kinds = {f.name: f.type for f in CLIPS}
    labels: dict[str, pa.DataType] = {}
    for schema in (known.schema, given.schema):
        for field in schema:
            if field.name.startswith(LABEL):
                labels[field.name] = _common(field.name, labels.get(field.name), field.type)
    filled = {n: k for n, k in labels.items() if not pa.types.is_null(k)}
    return kinds | dict(sorted(filled.items()))


def _retyped(
    known: pa.Table,
    given: pa.Table,
    corpus: str,
    complete: bool,
    holders: Callable[[str], list[str]],
) -> list[str]:
    """Labels whose values in the store are of another type, and go since the corpus is complete.

    Raises:
        WrongClips: some would stay.
    """
    found = []
    labels = (n for n in given.column_names if n.startswith(LABEL) and n in known.column_names)
    for name in labels:
        one, kind = (_simple(name, table.schema.field(name).type) for table in (known, given))
        if _together(one, kind) is not None:
            continue
        where = [other for other in holders(name) if other != corpus]
        if where:
            raise WrongClips(
                f"{name} is {one} in corpus {where[0]} and {kind} in {corpus} now; a label has one "
                "type in a store: give one of them another name, or the corpus a store of its own"
            )
        if not complete:
            raise WrongClips(
                f"{name} is {one} in {corpus} and {kind} now; ingest the whole corpus anew, or "
                "give the new label another name"
            )
        found.append(name)
    return found


def _common(name: str, one: pa.DataType | None, other: pa.DataType) -> pa.DataType:
    """The type of a label that was given as both."""
    kind = _simple(name, other)
    both = kind if one is None else _together(one, kind)
    if both is None:
        raise WrongClips(f"{name} is {one} in the store and {kind} now; rename the new label")
    return both


def _together(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds values of both, or None."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else None


def _simple(name: str, kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return kind
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.string()
    raise WrongClips(f"{name} is {kind}; labels are numbers, words or truth values")


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(len(table), kind)
    column = table[name].cast(kind).combine_chunks()
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column


def _text(table: pa.Table, name: str) -> list[pa.Array]:
    chunks: list[pa.Array] = table[name].cast(pa.string()).chunks
    return chunks


def _states(before: pa.Array, given: pa.Array | None, absent: pa.Array, complete: bool) -> pa.Array:
    """A clip that is given is present unless it says otherwise."""
    stated = pa.array([PRESENT] * len(before)) if given is None else pc.fill_null(given, PRESENT)
    if complete:
        before = pc.if_else(pc.fill_null(pc.equal(before, FORGOTTEN), False), FORGOTTEN, MISSING)
    return pc.if_else(absent, before, stated)


def _problems(problems: pa.Array, absent: pa.Array, states: pa.Array, complete: bool) -> pa.Array:
    """Which clips weren't listed any more, and which of these are again."""
    listed = pc.not_equal(states, MISSING)
    again = pc.and_(listed, pc.fill_null(pc.equal(problems, UNLISTED), False))
    problems = pc.if_else(again, pa.scalar(None, problems.type), problems)
    if complete:
        problems = pc.if_else(pc.and_(absent, pc.invert(listed)), UNLISTED, problems)
    return problems


def _differs(before: pa.Array, after: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if pa.types.is_nested(before.type):
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return np.array([a != b for a, b in pairs], bool)
    unequal = pc.fill_null(pc.not_equal(before, after), False)
    return np.asarray(pc.or_(unequal, pc.xor(pc.is_null(before), pc.is_null(after))))
