"""Whether Delta's log tells the truth of a file: readers leave files out by what it says."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from storage.log import DataFile


def stats_damage(file: DataFile, size: int, rows: pa.Table) -> str | None:
    """What the log says wrongly of a file, or None.

    Ranges may be wider than the values, as Delta shortens long texts; narrower ones hide rows.

    Args:
        size: the file's bytes; rows: what it holds, of the columns that are to be looked at.
    """
    if size != file.size:
        return f"the log gives it {file.size} bytes, it has {size}"
    try:
        said = json.loads(file.stats)
        count, least, most, nulls = (
            said.get(name, {}) for name in ("numRecords", "minValues", "maxValues", "nullCount")
        )
        if count != {} and count != len(rows):
            return f"the log gives it {count} rows, it has {len(rows)}"
        for name in rows.column_names:
            if name in nulls and nulls[name] != rows[name].null_count:
                return f"the log counts other empty values of {name} in it"
            if not _comparable(rows.schema.field(name).type):
                continue
            ends = pc.min_max(rows[name]).as_py()
            if ends["min"] is None:
                continue
            low, high = ends["min"], ends["max"]
            if least.get(name, low) > low or most.get(name, high) < high:
                return f"the log's range of {name} doesn't hold all of its values"
    except (ValueError, TypeError, AttributeError):
        return "what the log says of its values can't be read"
    return None


def _comparable(kind: pa.DataType) -> bool:
    """Text and whole numbers: what files are left out by."""
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))
