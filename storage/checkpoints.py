"""Delta's checkpoints: whether they say what the log says, since readers believe them unread."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from storage.errors import StoreError
from storage.location import Location
from storage.log import LOG, TableLog, file_key, metadata_facts, read_file

SUFFIX = ".checkpoint.parquet"
_NAME = re.compile(r"\d{20}" + re.escape(SUFFIX))
#: names the newest checkpoint, so that readers needn't list the log
POINTER = "_last_checkpoint"
REMEDY = "delete the table's _last_checkpoint and *.checkpoint.parquet: the log is whole without"


def checkpoint_damage(location: Location, log: TableLog) -> Iterator[tuple[str, str]]:
    """Key of each checkpoint that says something else than the log, and what is wrong."""
    folder = f"{log.name}/{LOG}"
    keys = {key for key, _, _ in location.list(folder)}
    for key in sorted(key for key in keys if _NAME.fullmatch(key.rpartition("/")[2])):
        version = int(key.rpartition("/")[2][:20])
        try:
            wrong = _differs(location, log, key, version)
        except (StoreError, ValueError, LookupError, TypeError, AttributeError) as error:
            wrong = f"it can't be read ({error})"
        if wrong:
            yield key, f"{wrong}; {REMEDY}"
    pointer = f"{folder}/{POINTER}"
    if pointer in keys:
        try:
            named = int(json.loads(location.read_bytes(pointer))["version"])
            there = f"{folder}/{named:020d}{SUFFIX}" in keys
        except (ValueError, LookupError, TypeError):
            there = False
        if not there:
            yield pointer, f"it names no checkpoint that is there; {REMEDY}"


def _differs(location: Location, log: TableLog, key: str, version: int) -> str:
    rows = read_file(location, key, ["add", "metaData"])
    told = {
        file_key(log.name, add): (int(add["size"]), json.loads(add["stats"] or "{}"))
        for add in rows["add"].to_pylist()
        if add
    }
    wanted = {f.key: (f.size, json.loads(f.stats)) for f in log.of([version])}
    if told != wanted:
        return "it tells of other files, or other ranges of values, than the log"
    schemas = [metadata_facts(m) for m in rows["metaData"].to_pylist() if m]
    if schemas != [facts for since, facts in log.metadata if since <= version][-1:]:
        return "it tells of another schema than the log"
    return ""
