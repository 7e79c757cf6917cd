"""Why a result is computed, in the words of plans and summaries."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from flows.media_settings import is_media_setting
from flows.pipeline import default_of
from storage.records import Node

NEW_CLIP = "new clip"
NEW_FEATURE = "new feature"
DAMAGED = "damaged"
MEDIA_CHANGED = "media changed"
CUT_CHANGED = "cut changed"

#: as many digits of a file's or an image's hash as tell it from another
_SHA256 = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def reason(
    node: Node,
    previous: str | None,
    *,
    media_changed: bool,
    cut_changed: bool = False,
    fresh: str,
    earlier: Mapping[str, Node],
    read: Mapping[str, str],
    changed: Collection[str] | None = None,
) -> str:
    """One reason; the first that applies, in this order.

    Args:
        previous: extractor key of the clip's newest result of the feature, if possible of the
            same extractor as ``node``, and of these of one that was bound as it is.
        media_changed: that result was made from another medium; cut_changed: from another cut of
            this same file.
        fresh: ``NEW_CLIP`` or ``NEW_FEATURE`` if there is no such result, else "".
        earlier: extractor key -> node, of all configurations that ever ran.
        read: slot -> feature that the result was made of.
        changed: of these, those with other rows now; None where that isn't known.
    """
    if fresh:
        return fresh
    if previous is not None and previous != node.extractor_key:
        return extractor_change(earlier.get(previous), node)
    if cut_changed:
        return CUT_CHANGED
    if media_changed:
        return MEDIA_CHANGED
    for slot, feature in node.inputs:
        if read and read.get(slot) != feature:
            return f"binding {node.extractor}.{slot} {read.get(slot)}→{feature}"
    return upstream_changed(node, changed)


def upstream_changed(node: Node, changed: Collection[str] | None = None) -> str:
    """``upstream faces changed``; ``faces or identity`` where it isn't known which of them did."""
    if changed:
        return f"upstream {', '.join(sorted(changed))} changed"
    if node.attrs and (changed is not None or not node.inputs):
        return f"the clip's {', '.join(node.attrs)} changed"
    read = sorted({f for _, f in node.inputs})
    # which of the clip's attributes it was isn't recorded with a result
    own = ["the clip's " + ", ".join(node.attrs)] if node.attrs else []
    return f"upstream {' or '.join([*read, *own])} changed"


def extractor_change(before: Node | None, after: Node) -> str:
    """What differs between two extractors of one feature."""
    name = after.extractor
    if before is None:
        return "extractor changed"
    if before.extractor != name:
        return f"extractor {before.extractor}→{name}"
    if before.version != after.version:
        return f"extractor version {before.version}→{after.version}"
    for param in sorted({*before.params, *after.params}):
        old = before.params.get(param, default_of(name, param))
        new = after.params.get(param, default_of(name, param))
        if old != new:
            return f"parameter {name}.{param} {_short(old)}→{_short(new)}"
    if before.weights != after.weights:
        return "weights changed"
    for tool in sorted({*before.tools, *after.tools}):
        if before.tools.get(tool) != after.tools.get(tool):
            if is_media_setting(tool):
                default = default_of(*tool.split("."))
                old, new = (str(n.tools.get(tool, default)) for n in (before, after))
                return f"setting {tool} {old}→{new}"
            old, new = (_SHA256.sub(r"\1", str(n.tools.get(tool))) for n in (before, after))
            return f"tool {tool} {old}→{new}"
    return "extractor changed"


def _short(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return "[" + ",".join(_short(v) for v in value) + "]"
    return str(value)
