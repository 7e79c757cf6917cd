"""DuckDB as joins over the store's tables use it: in memory, quiet, aside of the user's folder."""

from __future__ import annotations

import os
import tempfile
import uuid

import duckdb


def database() -> duckdb.DuckDBPyConnection:
    """An empty database; what doesn't fit in memory goes to a folder among the temporary ones."""
    # made only if it is needed, and removed with the connection; by default it would lie in the
    # current folder
    spill = os.path.join(tempfile.gettempdir(), f"affectstore-{uuid.uuid4().hex}")
    db = duckdb.connect(config={"temp_directory": spill})
    # DuckDB draws a bar on standard output when a query takes longer than two seconds
    db.execute("SET enable_progress_bar = false")
    return db
