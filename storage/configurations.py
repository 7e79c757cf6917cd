"""Configurations as rows of their Delta table: nodes and settings are readable JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from features.spelling import nearest
from storage.errors import Conflict, UnknownVariant
from storage.location import Location
from storage.records import Configuration, Node
from storage.schemas import CONFIGURATIONS
from storage.tables import COMMIT_ATTEMPTS, Table, pause

#: before a run's id: the name of the configuration that it ran with, if it had settings of its own
RUN = "run:"
DEFAULT = "default"


def configuration_table(configuration: Configuration, version: int) -> pa.Table:
    """The row of one version of a configuration."""
    row = {
        "name": configuration.name,
        "version": version,
        "id": configuration.id,
        "nodes": json.dumps([asdict(node) for node in configuration.nodes]),
        "settings": json.dumps(configuration.settings, sort_keys=True),
        "time": datetime.now(UTC),
    }
    return pa.Table.from_pylist([row], schema=CONFIGURATIONS)


def change(
    location: Location,
    name: str,
    make: Callable[[Configuration | None], Configuration | None],
    allow: Callable[[], None],
) -> int:
    """Keep what ``make`` makes of the newest configuration of a name; its version.

    Of several that change one at the same time, each is given what the one before it kept.

    Args:
        allow: called before anything is written; it may raise.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        table = Table(location, "configurations")
        based_on = table.version
        rows = table.read({"name": name})
        found = newest(rows)
        made = make(found[1] if found else None)
        if made is None or (found and same(found[1], made)):
            return found[0] if found else 0
        allow()
        version = found[0] + 1 if found else 1
        more = pa.concat_tables([rows, configuration_table(made, version)])
        try:
            table.replace(
                more, {"name": name}, based_on, {"what": f"configuration {name}, version {version}"}
            )
            return version
        except Conflict:
            if attempt == COMMIT_ATTEMPTS - 1:
                raise
            pause(attempt)
    raise AssertionError("unreachable")


def delete(location: Location, name: str) -> None:
    """Take a configuration out of the newest version of the table; tags keep it.

    Raises:
        UnknownVariant: there is none, or it is the default one, which every store has.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        table = Table(location, "configurations")
        based_on = table.version
        known = sorted(set(table.read(columns=["name"])["name"].to_pylist()) - {DEFAULT})
        if name not in known:
            raise UnknownVariant(
                f"there is no variant {name!r} to delete{nearest(name, known)} "
                f"(here: {', '.join(known) or 'none'})"
            )
        try:
            said = {"what": f"configuration {name} deleted"}
            table.replace(CONFIGURATIONS.empty_table(), {"name": name}, based_on, said)
            return
        except Conflict:
            if attempt == COMMIT_ATTEMPTS - 1:
                raise
            pause(attempt)


def newest(rows: pa.Table) -> tuple[int, Configuration] | None:
    """Number and content of the newest version among the rows of one name, if there are any."""
    found = max(rows.to_pylist(), key=lambda r: (r["version"], r["time"]), default=None)
    if found is None:
        return None
    return found["version"], Configuration(
        name=found["name"],
        id=found["id"],
        nodes=nodes_of(found["nodes"]),
        settings=json.loads(found["settings"]),
    )


def nodes_of(text: str) -> tuple[Node, ...]:
    """The nodes in a row's JSON."""
    return tuple(_node(fields) for fields in json.loads(text))


def same(one: Configuration, other: Configuration) -> bool:
    """True if both are written as the same row: JSON knows no tuples, so compare what is kept."""
    return _kept(one) == _kept(other)


def _kept(configuration: Configuration) -> str:
    nodes = [asdict(n) for n in sorted(configuration.nodes, key=lambda n: n.feature)]
    return json.dumps([configuration.id, nodes, configuration.settings], sort_keys=True)


def _node(fields: dict[str, Any]) -> Node:
    inputs = tuple((slot, feature) for slot, feature in fields["inputs"])
    return Node(**fields | {"inputs": inputs, "attrs": tuple(fields["attrs"])})
