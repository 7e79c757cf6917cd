"""ingest and export: media in, files out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import EVERYDAY, app
from flows.cli.options import (
    At,
    Corpus,
    Json,
    Store,
    Variant,
    count,
    duration,
    out,
    print_json,
    styled,
    warn,
)

if TYPE_CHECKING:
    from flows.ingest import Ingested

#: clips of one kind of problem that ingest names; a corpus may lack thousands of files
MOST_LINES = 20


@app.command(rich_help_panel=EVERYDAY)
def ingest(
    source: Annotated[str, typer.Argument(help="Folder, table or demo folder.")],
    store: Store,
    corpus: Annotated[str, typer.Option("--corpus", "-c", help="Name of the corpus.")],
    adapter: Annotated[
        str | None,
        typer.Option(
            help="How to read SOURCE: folder, table, demo, affwild2, afew, audformat, cremad, "
            "fer2013, omg, omg_by_link. Default: by what it is."
        ),
    ] = None,
    force_forgotten: Annotated[
        bool,
        typer.Option(
            "--force-forgotten", help="Take forgotten clips in again: consent was given anew."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Add a folder's (or a table's) clips to a store; creates the store if there is none."""
    from corpora.adapters import load
    from corpora.summary import summarise
    from flows.cli.counting import counting
    from flows.ingest import ingest_manifest
    from storage import FeatureStore

    _check_names(source=source, store=store, corpus=corpus)
    manifest = load(adapter, source, corpus)
    opened = FeatureStore.create(store, exist_ok=True)
    with counting("ingest", "files", quiet=json) as tell:
        report = ingest_manifest(opened, manifest, force_forgotten=force_forgotten, tell=tell)
    if json:
        print_json({**report.to_json(), "summary": summarise(manifest, report.forgotten)})
        return
    _print_ingested(report)
    for line in summarise(manifest, report.forgotten):
        out.print(f"  {line}", soft_wrap=True)
    _warn_of(report)


def _print_ingested(report: Ingested) -> None:
    parts = [count(report.clips, "clip"), duration(report.seconds), f"{report.new} new"]
    if report.changed:
        parts.append(f"{report.changed} changed")
    if report.subjects:
        parts.append(count(report.subjects, "subject"))
    if report.labels:
        parts.append("frame labels " + ", ".join(report.labels))
    out.print(styled((report.corpus, "bold"), ": " + ", ".join(parts)))


def _warn_of(report: Ingested) -> None:
    """Everything that a person should look at, a few lines of each kind."""
    _warn([f"{clip}: {problem}" for clip, problem in sorted(report.problems.items())])
    _warn(
        [
            f"{clip}: not listed any more; its results stay, exports and trainers leave it out"
            for clip in report.absent
        ]
    )
    _warn([f"{clip}: was forgotten and stays out" for clip in report.forgotten])
    _warn(
        [
            f"label {name}: not given any more of {count(clips, 'clip')}, so taken from there; "
            "tags keep it"
            for name, clips in report.withdrawn.items()
        ]
    )
    if report.kept_labels:
        _warn(
            [
                f"labels that SOURCE doesn't give, kept as they were: "
                f"{', '.join(report.kept_labels)}; to be without them, ingest into a new store"
            ]
        )
    _warn(report.warnings)


def _check_names(**names: str) -> None:
    from features.errors import RequestError

    for what, name in names.items():
        if not name.strip():
            raise RequestError(f"the {what} has no name; give it one")
        try:
            (name if what == "corpus" else os.path.abspath(name)).encode()
        except UnicodeEncodeError:
            shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise RequestError(
                f"{what} {shown}: the name is no UTF-8, which the store's tables can't hold; "
                "rename it"
            ) from None


def _warn(lines: Sequence[str]) -> None:
    """The first lines, and how many more of their kind there are."""
    shown = list(lines[:MOST_LINES])
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown)} more; --json lists all")
    for line in shown:
        warn(line)


@app.command(rich_help_panel=EVERYDAY)
def export(
    store: Store,
    feature: Annotated[
        str,
        typer.Option(
            "--feature", "-f", help="What to write, or a group of its columns (openface.pose)."
        ),
    ],
    to: Annotated[
        Path, typer.Option("--to", help="x.npy, x.parquet, x.csv, x.wav, or a folder for images.")
    ],
    clip: Annotated[str | None, typer.Option("--clip", help="One clip; default all.")] = None,
    corpus: Corpus = None,
    at: At = None,
    variant: Variant = None,
    stale: Annotated[
        str,
        typer.Option(help="Clips with none but stale results: error, skip or allow (write them)."),
    ] = "error",
    json: Json = False,
) -> None:
    """Write a feature as npy, Parquet, CSV, WAV or images. Exit code 1 if a clip has none of it."""
    from flows.export import STALE, stale_of
    from flows.export import export as write
    from storage import FeatureStore

    opened = FeatureStore.open(store, read_only=True, at=at)
    skipped = dict[str, str]()
    written = write(
        *(opened, feature, to),
        clip=clip,
        corpus=corpus,
        variant=variant,
        stale=stale_of(stale),
        left_out=lambda owner, name, why: skipped.update({f"{owner}/{name}": why}),
    )
    if json:
        facts = {"files": [str(w.path) for w in written], "rows": sum(w.rows for w in written)}
        print_json({**facts, "skipped": [*skipped]})
    else:
        for entry in written[:5]:
            out.print(f"{entry.path}  {count(entry.rows, 'row')}", soft_wrap=True)
        if len(written) > 5:
            out.print(f"… and {len(written) - 5} more")
    for name, why in [*skipped.items()][:5]:
        reason = f"what it has of {feature} is stale" if why == STALE else why
        warn(f"{name}: left out, {reason}")
    if len(skipped) > 5:
        warn(f"… and {len(skipped) - 5} more left out")
    if any(why != STALE for why in skipped.values()):
        raise typer.Exit(1)
