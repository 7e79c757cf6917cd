"""Conditions on the rows of a table, as Arrow, Delta and SQL want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from storage.schemas import TEXT

#: column -> the value, or the values, that a row must have
Where = Mapping[str, str | Sequence[str]]

#: of more values than this only the range is matched with each file's own
PRUNE_VALUES = 64


def matching(where: Where) -> pc.Expression | None:
    """What Arrow filters rows by.

    Of several values the range is given too: by it row groups are left out unread.
    """
    found: pc.Expression | None = None
    for name, value in where.items():
        field = pc.field(name)
        if isinstance(value, str):
            term = field == value
        else:
            term = field.isin(pa.array(value, TEXT))
            if value:
                term = (field >= min(value)) & (field <= max(value)) & term
        found = term if found is None else found & term
    return found


def pruning(where: Where) -> list[tuple[str, str, str | list[str]]]:
    """What Delta leaves out whole files by."""
    prune: list[tuple[str, str, str | list[str]]] = []
    for name, value in where.items():
        if isinstance(value, str):
            prune.append((name, "=", value))
        elif len(value) <= PRUNE_VALUES:
            prune.append((name, "in", list(value)))
        else:
            prune += [(name, ">=", min(value)), (name, "<=", max(value))]
    return prune


def as_sql(where: Where) -> str | None:
    """What a commit says it replaces."""
    return " AND ".join(_sql(name, value) for name, value in where.items()) or None


def _sql(name: str, value: str | Sequence[str]) -> str:
    values = [value] if isinstance(value, str) else value
    texts = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
    return f"{name} IN ({texts})"
