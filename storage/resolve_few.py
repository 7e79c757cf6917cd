"""What ``resolve`` gives, for few clips: in plain Python, as a database takes longer to start."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from storage.keys import clocked, fingerprint
from storage.records import Node
from storage.resolve import CATALOGUE_COLUMNS, CLIP_COLUMNS, FAILURE_COLUMNS, RESOLVED

#: so many clips take about as long in either way
FEW = 256


@dataclass
class _Known:
    """Results by clip and feature, and of any clip: fingerprint -> content and clock of the
    newest one."""

    own: defaultdict[tuple[str, str, str], dict[str, str]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    newest: dict[tuple[str, str, str], str] = field(default_factory=dict)
    anyone: dict[tuple[str, str], str] = field(default_factory=dict)
    failed: set[tuple[str, str, str, str]] = field(default_factory=set)


def resolve_few(
    nodes: Sequence[Node], clips: pa.Table, catalogue: pa.Table, failures: pa.Table
) -> pa.Table:
    """The state of every (clip, feature): arguments and result as of ``resolve``."""
    known = _known(catalogue, failures)
    unbound = {f for node in nodes for _, f in node.inputs} - {node.feature for node in nodes}
    found = []
    for clip in clips.select(list(CLIP_COLUMNS)).to_pylist():
        attrs = json.loads(clip["attrs"]) if clip["attrs"] else {}
        place = clip["corpus"], clip["clip"]
        contents: dict[str, str] = {}
        blocked: set[str] = set()
        for feature in unbound:
            if (*place, feature) in known.newest:
                contents[feature] = known.newest[*place, feature]
        for node in nodes:
            wanted = _wanted(node, clip["media_key"], attrs, contents)
            state, own = _state(node, place, wanted, blocked, known)
            if wanted is not None and state == "published":
                any_content = known.anyone[node.feature, wanted]
                contents[node.feature] = known.own[*place, node.feature].get(wanted, any_content)
            elif state == "quarantined":
                blocked.add(node.feature)
            found.append((*place, node.feature, state, wanted, own))
    columns = zip(*found, strict=True) if found else [()] * len(RESOLVED)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, RESOLVED, strict=True)]
    return pa.table(arrays, schema=RESOLVED)


def _known(catalogue: pa.Table, failures: pa.Table) -> _Known:
    known = _Known()
    rows = catalogue.select(list(CATALOGUE_COLUMNS)).sort_by("time")
    for row in rows.to_pylist():
        key = row["corpus"], row["clip"], row["feature"]
        placed = clocked(row["content"], row["t0"], row["step"])
        known.own[key][row["fingerprint"]] = placed
        known.newest[key] = placed
        known.anyone[row["feature"], row["fingerprint"]] = placed
    for row in failures.select(list(FAILURE_COLUMNS)).to_pylist():
        known.failed.add((row["corpus"], row["clip"], row["feature"], row["fingerprint"]))
    return known


def _wanted(
    node: Node, media: str | None, attrs: Mapping[str, str], contents: Mapping[str, str]
) -> str | None:
    """The fingerprint, or None where an input, or the medium, isn't known."""
    if any(feature not in contents for _, feature in node.inputs):
        return None
    if node.reads_media and media is None:
        return None
    return fingerprint(node, media, attrs, contents)


def _state(
    node: Node, place: tuple[str, str], wanted: str | None, blocked: set[str], known: _Known
) -> tuple[str, bool]:
    """The state, and whether the result was published for this very clip."""
    own = known.own.get((*place, node.feature), {})
    if wanted in own:
        return "published", True
    if wanted is not None and (node.feature, wanted) in known.anyone:
        return "published", False
    waits = any(feature in blocked for _, feature in node.inputs)
    if waits or (wanted is not None and (*place, node.feature, wanted) in known.failed):
        return "quarantined", False
    return ("stale" if own else "missing"), False
