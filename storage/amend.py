"""Changing rows of a table that others write to: read, change, commit, or read again."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from storage.errors import Conflict
from storage.predicates import Where
from storage.tables import Table, pause

#: appends of running extracts come in between; each attempt costs one read and one write
ATTEMPTS = 60


def amend(
    table: Table, where: Where, change: Callable[[pa.Table], pa.Table | None], said: str
) -> bool:
    """Put what ``change`` makes of the matching rows in their place, in one atomic commit.

    Earlier versions, and the tags on them, keep the rows as they were.

    Args:
        change: gets the rows as they are now; None if they may stay. It is called again with
            newer rows whenever another process committed first.
        said: what the commit says of itself in the table's log.

    Returns:
        Whether anything was committed.

    Raises:
        Conflict: others were faster every time.
    """
    for attempt in range(ATTEMPTS):
        table.reload()
        version = table.version
        rows = change(table.read(where))
        if rows is None:
            return False
        try:
            table.replace(rows, where, version, {"what": said})
            return True
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
            pause(attempt)
    raise AssertionError("unreachable")
