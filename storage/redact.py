"""Taking rows out of a table's history: its files of all versions, and what the log says."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.clips import FORGOTTEN
from storage.location import Location
from storage.log import LOG, log_key, read_file, read_log

#: corpus -> ids of its clips
Clips = Mapping[str, Collection[str]]

#: set in the footer of a rewritten file, so that a second attempt knows it
MARK = b"affectstore.redacted"
#: what stands in the log for a predicate that named a forgotten clip
WITHHELD = "(withheld)"
#: a text in a predicate
_TEXT = re.compile(r"'(?:[^']|'')*'")
_MAGIC_AND_LENGTH = 8


def data_files(location: Location, table: str) -> list[str]:
    """Keys of a table's Parquet files on disk, those of no version included."""
    keys = [key for key, _, _ in location.list(table)]
    found = [k for k in keys if k.endswith(".parquet") and f"/{LOG}/" not in k]
    # Delta takes no hidden file for a table's; Finder leaves such beside each file of a share
    return [k for k in found if not k.rpartition("/")[2].startswith(".")]


def naming(rows: pa.Table, clips: Clips) -> pa.ChunkedArray | pa.Array:
    """Which rows are of these clips; their tombstones in the clips table don't count."""
    found: Any = pa.array([False] * len(rows), pa.bool_())
    for corpus, names in clips.items():
        own = pc.and_(
            pc.equal(rows["corpus"], corpus),
            pc.is_in(rows["clip"], value_set=pa.array(sorted(names), pa.string())),
        )
        found = pc.or_(found, pc.fill_null(own, False))
    if "state" in rows.column_names and "uri" in rows.column_names:
        found = pc.and_(found, pc.fill_null(pc.not_equal(rows["state"], FORGOTTEN), True))
    return found


def redact_files(location: Location, table: str, clips: Clips) -> int:
    """Rewrite each file that has rows of the clips, in place and without them; how many.

    A file keeps its name and, by padding before its footer, its length: every version that is
    made of it reads as before but for these rows, at every moment.
    """
    count = 0
    for key in data_files(location, table):
        rows = read_file(location, key)
        mine = naming(rows, clips)
        if pc.any(mine).as_py():
            replace_file(location, key, rows.filter(pc.invert(mine)))
            count += 1
    return count


def replace_file(location: Location, key: str, rows: pa.Table) -> None:
    """Put a file of these rows in the place of one; ``redact_log`` must follow."""
    location.write_bytes(key, _file(rows, len(location.read_bytes(key))))


def redact_log(location: Location, table: str, clips: Clips) -> int:
    """Drop value ranges of rewritten and vanished files, and predicates that name the clips.

    Checkpoints, which repeat the ranges, are removed: the log is whole without them.

    Returns:
        How many commits were rewritten.
    """
    changed = dict(_redacted(location, table, clips, vanished=True))
    for key, text in changed.items():
        location.write_bytes(key, text)
    if changed:
        _drop_checkpoints(location, table)
    return len(changed)


def unredacted(location: Location, table: str, clips: Clips) -> list[str]:
    """Keys of commits that still tell of the clips, though ``redact_log`` was there.

    Files that vanished since then had been rewritten, or never knew the clips.
    """
    return [key for key, _ in _redacted(location, table, clips, vanished=False)]


def _redacted(
    location: Location, table: str, clips: Clips, *, vanished: bool
) -> Iterator[tuple[str, bytes]]:
    """Key and new text of the commits to rewrite; ``vanished``: on account of such files too."""
    newest = read_log(location, table).newest
    facts = {key: _facts(location, key) for key in data_files(location, table)}
    names = [name for ids in clips.values() for name in ids]
    for version in range(newest + 1):
        key = log_key(table, version)
        text = location.read_bytes(key).rstrip(b"\n")
        changed = b"\n".join(
            _line(line, table, facts, names, vanished) for line in text.splitlines()
        )
        if changed != text:
            yield key, changed


def _file(rows: pa.Table, size: int) -> bytes:
    """The rows as Parquet of that length (longer only if they can't be packed so small)."""
    best = b""
    for level in (3, 19):
        sink = io.BytesIO()
        with pq.ParquetWriter(
            sink,
            rows.schema,
            compression="zstd",
            compression_level=level,
            write_statistics=False,
            store_schema=False,
        ) as writer:
            writer.write_table(rows)
            writer.add_key_value_metadata({MARK.decode(): "1"})
        best = sink.getvalue()
        if len(best) <= size:
            break
    footer = int.from_bytes(best[-_MAGIC_AND_LENGTH:-4], "little") + _MAGIC_AND_LENGTH
    return best[:-footer] + bytes(max(0, size - len(best))) + best[-footer:]


def _facts(location: Location, key: str) -> tuple[bool, int, int]:
    """Of a file on disk: whether it was rewritten, its bytes, its rows."""
    data = location.read_bytes(key)
    metadata = pq.read_metadata(io.BytesIO(data))
    return MARK in (metadata.metadata or {}), len(data), metadata.num_rows


def _line(
    line: bytes,
    table: str,
    facts: Mapping[str, tuple[bool, int, int]],
    names: Collection[str],
    vanished: bool,
) -> bytes:
    action = json.loads(line)
    before = json.dumps(action)
    if "add" in action:
        add = action["add"]
        key = f"{table}/{add['path']}"
        if key in facts:
            marked, add["size"], rows = facts[key]
        else:  # gc removed it: nobody needs its ranges any more
            marked, rows = vanished, json.loads(add["stats"] or "{}").get("numRecords", 0)
        if marked:
            add["stats"] = json.dumps({"numRecords": rows})
    elif "commitInfo" in action:
        parameters = action["commitInfo"].get("operationParameters", {})
        predicate = str(parameters.get("predicate", ""))
        # a corpus, a feature or a tag may be called as a clip is
        if "clip" in _TEXT.sub("", predicate) and any(
            "'" + name.replace("'", "''") + "'" in predicate for name in names
        ):
            parameters["predicate"] = WITHHELD
    return line if json.dumps(action) == before else json.dumps(action).encode()


def _drop_checkpoints(location: Location, table: str) -> None:
    keys = [key for key, _, _ in location.list(f"{table}/{LOG}")]
    # the pointer first: without it a reader lists the log
    for key in sorted(k for k in keys if k.endswith(("_last_checkpoint", ".parquet"))):
        location.delete_tree(key)
