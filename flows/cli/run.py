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
    err,
    fault,
    out,
    print_json,
    size,
    styled,
    warn,
)
from flows.cli.planned import print_detail, print_plan, terms

if TYPE_CHECKING:
    from flows.plan import Plan
    from flows.request import Request
    from flows.summary import Summary
    from storage import FeatureStore

RunnerOption = Annotated[
    str | None,
    typer.Option(
        help="local (this process), processes or dask. Default: dask with --scheduler, processes "
        "with --workers above 1, else local."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Worker processes; default with --runner: the cores that may be used."),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a running Dask scheduler, such as tcp://head:8786.")
]
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
    print_plan(made)
    _warn_of_space(opened, made)
    if rows is not None:
        print_detail(rows)


@app.command(rich_help_panel=EVERYDAY)
def extract(
    store: Store,
    features: Features = "all",
    corpus: Corpus = None,
    runner: RunnerOption = None,
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
    from flows.runners import runner_of

    settings = set_ or []
    request = Request(
        store=store,
        features=features,
        corpus=corpus,
        settings=parse_settings(settings),
        runner=runner_of(runner, workers, scheduler),
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
    runner: RunnerOption = None,
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
    from flows.runners import runner_of

    settings = set_ or []
    request = Request(
        store=store,
        features=features,
        corpus=corpus,
        settings=parse_settings(settings),
        runner=runner_of(runner, workers, scheduler),
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
    if works:
        for term in terms(made):
            err.print(styled(("licence", "yellow"), f" {term}"), soft_wrap=True)
        _warn_of_space(opened, made)
    with console_progress(quiet=json) as progress:
        if works and not no_prefect:
            # a run's own lines are enough on a terminal; the server's UI has all of Prefect's
            level = "INFO" if os.environ.get("AFFECTSTORE_DEBUG") else "CRITICAL"
            os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", level)
            os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", level)
            from flows.extract import extract_with_prefect
            from flows.prefect_server import server_url

            if server_url() is None and not json:
                said = "starting Prefect's temporary server; --no-prefect goes without"
                err.print(styled((said, "dim")))
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


def _warn_of_space(store: FeatureStore, made: Plan) -> None:
    from flows.run import short_of_space

    if short := short_of_space(store, made):
        most, free = short
        warn(
            f"this may take {size(most)}, and {size(free)} are free where the store lies; name "
            "fewer --features, or keep crops as JPEG (--set face_224.codec=jpeg95)"
        )


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
    causes: dict[tuple[str, ...], list[str]] = {}
    for f in summary.failures:
        cause = (f["corpus"], f["clip"], f["code"], f["message"])
        causes.setdefault(cause, []).append(f["feature"])
    for (_, clip, code, message), features in [*causes.items()][:10]:
        fault(f"{clip} {', '.join(features)}: {code}: {message}")
    if len(causes) > 10:
        err.print(f"  … and {len(causes) - 10} more")
