"""plan, extract and retry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import EVERYDAY, app
from flows.cli.options import (
    Corpus,
    Features,
    Json,
    Set,
    Store,
    Variant,
    count,
    duration,
    err,
    fault,
    out,
    print_json,
    styled,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.plan import Plan
    from flows.request import Request
    from flows.runners import RunnerName
    from flows.summary import Summary

RunnerOption = Annotated[str, typer.Option(help="local, processes or dask.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; default: the cores.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a running Dask scheduler.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
ShardOption = Annotated[str, typer.Option(help="i/N: this process' share, for array jobs.")]
MaxFailures = Annotated[
    float, typer.Option(min=0, max=1, help="Stop when more than this share of clips failed.")
]
NoPrefect = Annotated[bool, typer.Option("--no-prefect", help="Run without Prefect.")]


@app.command(rich_help_panel=EVERYDAY)
def plan(
    store: Store,
    features: Features = "all",
    corpus: Corpus = None,
    set_: Set = None,
    variant: Variant = None,
    detail: Annotated[
        bool, typer.Option("--detail", help="Also clip by clip: feature, reason, rows.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what extract would do, and why; nothing runs."""
    from flows.pipeline import parse_settings
    from flows.request import Request
    from flows.run import plan_request
    from storage import FeatureStore

    opened = FeatureStore.open(store, read_only=True)
    request = Request(store, features, corpus, parse_settings(set_ or []), variant=variant)
    made = plan_request(opened, request)
    rows = None
    if detail:
        from flows.detail import detail as detail_of

        rows = detail_of(made, opened.snapshot["catalogue"].fixed().batches)
    if json:
        more = {} if rows is None else {"detail": rows.to_pylist()}
        print_json(made.to_json() | more)
        return
    _print_plan(made)
    if rows is not None:
        _print_detail(rows)


@app.command(rich_help_panel=EVERYDAY)
def extract(
    store: Store,
    features: Features = "all",
    corpus: Corpus = None,
    runner: RunnerOption = "local",
    workers: Workers = None,
    scheduler: Scheduler = None,
    device: Device = "auto",
    set_: Set = None,
    variant: Variant = None,
    shard: ShardOption = "1/1",
    max_failures: MaxFailures = 1.0,
    no_prefect: NoPrefect = False,
    json: Json = False,
) -> None:
    """Compute and publish what is missing. Exit code 0 only if all that was asked is there."""
    from flows.pipeline import parse_settings
    from flows.request import Request

    settings = set_ or []
    request = Request(
        store=store,
        features=features,
        corpus=corpus,
        settings=parse_settings(settings),
        runner=_runner(runner),
        workers=workers,
        scheduler=scheduler,
        device=device,
        shard=shard,
        variant=variant,
        max_failures=max_failures,
    )
    _execute(request, settings, no_prefect, json)


@app.command(rich_help_panel=EVERYDAY)
def retry(
    store: Store,
    features: Features = "all",
    corpus: Corpus = None,
    feature: Annotated[str | None, typer.Option(help="Only failures of this feature.")] = None,
    code: Annotated[str | None, typer.Option(help="Only failures with this code.")] = None,
    variant: Variant = None,
    runner: RunnerOption = "local",
    workers: Workers = None,
    scheduler: Scheduler = None,
    device: Device = "auto",
    set_: Set = None,
    shard: ShardOption = "1/1",
    max_failures: MaxFailures = 1.0,
    no_prefect: NoPrefect = False,
    json: Json = False,
) -> None:
    """Try again what is in quarantine and what waits for it. Exit code 0 if all that is there."""
    from flows.pipeline import parse_settings
    from flows.request import Request

    settings = set_ or []
    request = Request(
        store=store,
        features=features,
        corpus=corpus,
        settings=parse_settings(settings),
        runner=_runner(runner),
        workers=workers,
        scheduler=scheduler,
        device=device,
        shard=shard,
        variant=variant,
        max_failures=max_failures,
        retry=True,
        retry_feature=feature,
        retry_code=code,
    )
    _execute(request, settings, no_prefect, json)


def _execute(request: Request, settings: list[str], no_prefect: bool, json: bool) -> None:
    """Plan first: Prefect isn't even imported when there is nothing to do."""
    from flows.cli.progress import console_progress
    from flows.run import extract_prepared, prepare
    from storage import FeatureStore

    opened = FeatureStore.open(request.store)
    made, works, summary = prepare(opened, request)
    for feature, reason in summary.skipped.items():
        err.print(styled(("skipped", "yellow"), f" {feature}: {reason}"), soft_wrap=True)
    with console_progress(quiet=json) as progress:
        if works and not no_prefect:
            # a run's own lines are enough on a terminal; the server's UI has all of Prefect's
            level = "INFO" if os.environ.get("AFFECTSTORE_DEBUG") else "CRITICAL"
            os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", level)
            if "PREFECT_API_URL" not in os.environ and not json:
                said = "starting Prefect's temporary server; --no-prefect goes without"
                err.print(styled((said, "dim")))
            from flows.extract import extract_with_prefect

            extract_with_prefect(request, settings, (made, works, summary, progress))
        else:
            extract_prepared(opened, request, made, works, summary, progress)
    if json:
        print_json(summary.to_json())
    else:
        _print_summary(summary)
    if summary.interrupted and not summary.lost:
        raise typer.Exit(130)
    if not summary.complete:
        raise typer.Exit(1)


def _runner(name: str) -> RunnerName:
    from typing import cast, get_args

    from features.errors import RequestError
    from flows.runners import RunnerName

    if name not in get_args(RunnerName):
        raise RequestError(f"--runner {name}: choose local, processes or dask")
    return cast("RunnerName", name)


def _print_plan(made: Plan) -> None:
    total = styled((str(made.tasks), "bold"), " to compute")
    if made.maybe:
        total += styled(", up to ", (str(made.maybe), "bold"), " more once their inputs are known")
    if made.quarantined:
        total.append(f", {made.quarantined} in quarantine")
    if made.adopted.num_rows:
        total.append(f", {made.adopted.num_rows} found under another clip's name")
    open_ = {n: f for n, f in made.by_feature.items() if f.clips or f.maybe or f.quarantined}
    if open_:
        out.print(total.append(f" ({count(made.clips, 'clip')}){_cost(made)}"))
    else:
        blocked = any(f.blocked for f in made.by_feature.values())
        rest = "all that can be computed here" if blocked else "everything asked"
        if made.absent.num_rows:
            rest += " of the files that are there"
        shared = made.adopted.num_rows
        named = f", {shared} of it under another clip's name" if shared else ""
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
            parts.append(f"{f.quarantined} in quarantine")
        line = styled("  ", sign, f" {name:<{width}} " + "; ".join(parts))
        out.print(line, soft_wrap=True)
    skipped: dict[str, list[str]] = {}
    for feature, reason in made.skipped.items():
        skipped.setdefault(reason, []).append(feature)
    for reason, features in skipped.items():
        line = styled((f"  - {', '.join(features)} skipped: {reason}", "dim"))
        out.print(line, soft_wrap=True)
    if made.absent.num_rows:
        from flows.absent import names_of, told

        line = styled("  ", ("!", "yellow"), f" {told(names_of(made.absent))}")
        out.print(line, soft_wrap=True)


def _print_detail(rows: pa.Table) -> None:
    from flows.detail import groups

    for group in groups(rows):
        more = group.clips - len(group.names)
        others = f" and {more} more" if more else ""
        out.print(styled((", ".join(group.names), "bold"), others), soft_wrap=True)
        width = max(len(work.feature) for work in group.works)
        for work in group.works:
            sign = ("+", "green") if work.certain else ("?", "yellow")
            size = "" if work.rows is None else f", up to {work.rows:,} rows"
            line = styled("  ", sign, f" {work.feature:<{width}} {work.reason}{size}")
            out.print(line, soft_wrap=True)


def _cost(made: Plan) -> str:
    """``: 3 min 02 s to 12 min 30 s of work, 3 min 02 s of it best on a GPU``, as known so far."""
    sure = sum(c.seconds for c in made.costs.values())
    most = sure + sum(c.maybe for c in made.costs.values())
    gpu = sum(c.seconds + c.maybe for c in made.costs.values() if c.device == "gpu")
    if not most:
        return ""
    text = f": about {duration(sure)}" + (f" to {duration(most)}" if most > sure else "")
    return f"{text} of work" + (f", {duration(gpu)} of it best on a GPU" if gpu else "")


def _reasons(reasons: dict[str, int]) -> str:
    if len(reasons) == 1:
        return next(iter(reasons))
    return ", ".join(f"{reason} ({n})" for reason, n in sorted(reasons.items()))


def _print_summary(summary: Summary) -> None:
    colour = "green" if summary.complete else "red"
    detail = ""
    if summary.reused_rows:
        detail += f", {summary.computed_rows} rows computed, {summary.reused_rows} reused"
    if summary.cut_off:
        detail += f", {summary.cut_off} unchanged"
    if summary.adopted:
        detail += f", {summary.adopted} found under another name"
    seconds = f" ({summary.seconds:.1f} s)"
    out.print(styled((summary.sentence(), colour), detail, seconds))
    for feature, found in summary.reasons.items():
        for why, counts in found.items():
            if why.startswith("upstream"):
                frames = f"{counts.computed} of {counts.rows} rows computed"
                out.print(f"  {feature}: {why} ({frames}, {count(counts.clips, 'clip')})")
    for f in summary.failures[:10]:
        fault(f"{f['clip']} {f['feature']}: {f['code']}: {f['message']}")
    if len(summary.failures) > 10:
        err.print(f"  … and {len(summary.failures) - 10} more")
