"""How a plan is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flows.cli.options import count, duration, out, size, styled

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.plan import Plan


def print_plan(made: Plan) -> None:
    """What extract would do, why, and what it costs."""
    total = styled((f"{made.tasks:,}", "bold"), " to compute")
    if made.maybe:
        total += styled(
            ", up to ", (f"{made.maybe:,}", "bold"), " more once their inputs are known"
        )
    if made.quarantined:
        total.append(f", {made.quarantined:,} in quarantine")
    if made.adopted.num_rows:
        total.append(f", {made.adopted.num_rows:,} found under another clip's name")
    open_ = {n: f for n, f in made.by_feature.items() if f.clips or f.maybe or f.quarantined}
    if open_:
        out.print(total.append(f" ({count(made.clips, 'clip')}){_cost(made)}"), soft_wrap=True)
        if stored := _size(made):
            out.print(f"  {stored}")
    else:
        blocked = any(f.blocked for f in made.by_feature.values())
        rest = "all that can be computed here" if blocked else "everything asked"
        if made.absent.num_rows:
            rest += " of the files that are there"
        shared = made.adopted.num_rows
        named = f", {shared:,} of it under another clip's name" if shared else ""
        out.print(f"nothing to do: {count(made.clips, 'clip')}, {rest} is published{named}")
    nodes = {n.feature: n for n in made.nodes}
    width = max(map(len, open_), default=0)
    for name, f in open_.items():
        sign = ("+", "green") if f.clips else ("?", "yellow") if f.maybe else ("!", "red")
        waits = dict.fromkeys(x for _, x in nodes[name].inputs if x in open_)
        parts = [f"{count(f.clips, 'clip')}: {_reasons(f.reasons)}"] if f.clips else []
        if f.maybe:
            parts.append(f"up to {count(f.maybe, 'clip')}, after {', '.join(waits)}")
        if f.quarantined:
            parts.append(f"{f.quarantined:,} in quarantine")
        line = styled("  ", sign, f" {name:<{width}} " + "; ".join(parts))
        out.print(line, soft_wrap=True)
    for term in terms(made):
        out.print(styled("  ", ("!", "yellow"), f" {term}"), soft_wrap=True)
    skipped: dict[str, list[str]] = {}
    for feature, reason in made.skipped.items():
        skipped.setdefault(reason.partition(";")[0], []).append(feature)
    for reason, features in skipped.items():
        line = styled((f"  - {', '.join(features)} skipped: {reason}", "dim"))
        out.print(line, soft_wrap=True)
    if skipped:
        out.print(styled(("    affectstore features show NAME tells what each needs", "dim")))
    if made.absent.num_rows:
        from flows.absent import names_of, told

        line = styled("  ", ("!", "yellow"), f" {told(names_of(made.absent))}")
        out.print(line, soft_wrap=True)


def terms(made: Plan) -> Iterator[str]:
    """The weights of the work that aren't free for commercial use, and their licence."""
    from features.weights import entry

    users: dict[str, list[str]] = {}
    for node in made.nodes:
        if made.by_feature[node.feature].any:
            for name in node.weights:
                users.setdefault(name, []).append(node.feature)
    for name, features in users.items():
        weights = entry(name)
        if not weights.commercial:
            yield f"{', '.join(features)} by weights {name}: {weights.licence}"


def print_detail(rows: pa.Table) -> None:
    """Clip by clip, those with the same work together."""
    from flows.detail import groups

    for group in groups(rows):
        more = group.clips - len(group.names)
        others = f" and {more:,} more" if more else ""
        out.print(styled((", ".join(group.names), "bold"), others), soft_wrap=True)
        width = max(len(work.feature) for work in group.works)
        for work in group.works:
            sign = ("+", "green") if work.certain else ("?", "yellow")
            size = "" if work.rows is None else f", up to {work.rows:,} rows"
            line = styled("  ", sign, f" {work.feature:<{width}} {work.reason}{size}")
            out.print(line, soft_wrap=True)


def _cost(made: Plan) -> str:
    """``: about 3 min 02 s to 12 min 30 s of work, 3 min 02 s of it best on a GPU``, if known."""
    costs = made.costs.values()
    unknown = sum(not c.known for c in costs)
    sure, maybe = sum(c.seconds for c in costs), sum(c.maybe for c in costs)
    gpu = sum(c.seconds + c.maybe for c in costs if c.device == "gpu")
    parts = []
    if sure + maybe:
        least = "at least" if unknown else "about"
        parts.append(f"{_span(least, duration, sure, sure + maybe)} of work")
    parts += [f"{duration(gpu)} of it best on a GPU"] if gpu else []
    parts += [f"{count(unknown, 'feature')} not timed yet"] if unknown else []
    return ": " + ", ".join(parts) if parts else ""


def _size(made: Plan) -> str:
    """How many bytes will come; ``""`` for none."""
    sure = sum(c.bytes for c in made.costs.values())
    most = sure + sum(c.maybe_bytes for c in made.costs.values())
    return f"{_span('about', size, sure, most)} to be stored" if most else ""


def _span(how: str, told: Callable[[float], str], least: float, most: float) -> str:
    """``about 3.0 s to 9.0 s``, ``about 9.0 s`` or ``up to 9.0 s``."""
    if not least:
        return f"up to {told(most)}"
    return f"{how} {told(least)}" + (f" to {told(most)}" if told(most) != told(least) else "")


def _reasons(reasons: dict[str, int]) -> str:
    if len(reasons) == 1:
        return next(iter(reasons))
    return ", ".join(f"{reason} ({n:,})" for reason, n in sorted(reasons.items()))
