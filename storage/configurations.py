"""Configurations as rows of their Delta table: nodes and settings are readable JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from storage.records import Configuration, Node
from storage.schemas import CONFIGURATIONS


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
