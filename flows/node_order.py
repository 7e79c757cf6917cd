"""The order in which nodes can be computed."""

from __future__ import annotations

from features.errors import UnknownParameter
from storage.records import Node


def in_order(nodes: list[Node]) -> list[Node]:
    """Topological order; bindings may differ from the declared ones.

    Raises:
        UnknownParameter: the bindings form a circle.
    """
    waiting, done = list(nodes), list[Node]()
    while waiting:
        open_ = {n.feature for n in waiting}
        ready = next((n for n in waiting if not {f for _, f in n.inputs} & open_), None)
        if ready is None:
            names = ", ".join(sorted(open_))
            raise UnknownParameter(f"the bindings of {names} form a circle; undo one --set")
        waiting.remove(ready)
        done.append(ready)
    return done
