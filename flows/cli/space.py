"""du, gc and compact: what takes space, giving it back, and keeping files few."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import typer

from flows.cli.app import UPKEEP, app
from flows.cli.options import Json, Store, count, err, out, print_json, size, table
from flows.cli.upkeep import DryRun, OnlyFeatures, names_of

KeepDays = Annotated[
    float,
    typer.Option("--keep-days", min=0, help="Untagged versions stay readable for so many days."),
]
GraceHours = Annotated[
    float,
    typer.Option(
        "--grace-hours", min=0, help="Nothing younger is removed; more than the longest run takes."
    ),
]


@app.command(rich_help_panel=UPKEEP)
def du(store: Store, json: Json = False) -> None:
    """Bytes on disk by feature, configuration and tag, and what only it holds."""
    from storage import FeatureStore
    from storage.usage import usage

    found = usage(FeatureStore.open(store, read_only=True))
    if json:
        print_json(found.to_json())
        return
    lists = (
        ("feature", "superseded", found.features),
        ("configuration", "its own", found.variants),
        ("tag", "its own", found.tags),
    )
    for title, only, uses in lists:
        if uses:
            columns = ("size", only, "parts", "files")
            made = table(title, *columns, numbers=columns)
            for use in uses:
                counts = (f"{use.parts:,}", f"{use.objects:,}")
                made.add_row(use.name, size(use.bytes), size(use.only), *counts)
            out.print(made)
    out.print(f"tables {size(found.tables)}, all together {size(found.bytes)}")
    if found.unnamed.parts or found.leftovers:
        lost = found.unnamed.bytes + found.leftovers
        out.print(f"of that, {size(lost)} is named by no version; affectstore gc removes old ones")


@app.command(rich_help_panel=UPKEEP)
def gc(
    store: Store,
    keep_days: KeepDays = 30.0,
    grace_hours: GraceHours = 24.0,
    superseded: Annotated[
        bool,
        typer.Option(
            "--superseded",
            help="First take results out of the newest version that no configuration wants any "
            "more, where another one has stood for --keep-days; tags keep theirs.",
        ),
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove parts and table files that no kept version and no tag reaches."""
    from datetime import timedelta

    from storage import FeatureStore
    from storage.gc import gc as collect

    found = collect(
        FeatureStore.open(store, read_only=dry_run),
        keep=timedelta(days=keep_days),
        grace=timedelta(hours=grace_hours),
        dry_run=dry_run,
        superseded=superseded,
    )
    if json:
        print_json(found.to_json())
        return
    if superseded:
        verb = "would leave" if dry_run else "left" if found.superseded else "leaves"
        out.print(
            f"{count(found.superseded, 'superseded result')} ({size(found.superseded_bytes)}) "
            f"{verb} the newest version; a part goes once no version that is kept names it",
            soft_wrap=True,
        )
    parts: defaultdict[str, list[int]] = defaultdict(list)
    for part in found.parts:
        parts[part.feature].append(part.bytes)
    made = table("what", "count", "size", numbers=("count", "size"))
    for feature, sizes in sorted(parts.items()):
        made.add_row(f"parts of {feature}", f"{len(sizes):,}", size(sum(sizes)))
    rest = {
        "files of expired versions": [f.bytes for f in found.files],
        "leftovers of broken writes": [x.bytes for x in found.leftovers],
    }
    for name, sizes in rest.items():
        if sizes:
            made.add_row(name, f"{len(sizes):,}", size(sum(sizes)))
    if found.bytes or found.leftovers:
        out.print(made)
    out.print(f"{size(found.bytes)} {'would be freed' if dry_run else 'freed'}")
    if found.wiped:
        out.print(
            f"{count(found.wiped, 'part')} rewritten without the rows that no version names any "
            "more, since clips of this store were forgotten",
            soft_wrap=True,
        )
    if found.young:
        out.print(
            f"{count(found.young, 'unnamed part')} younger than {grace_hours:g} h stay there: a "
            "run under way may be about to publish such",
            soft_wrap=True,
        )


@app.command(rich_help_panel=UPKEEP)
def compact(
    store: Store, features: OnlyFeatures = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Merge small parts and small table files; results, keys and hashes stay as they are."""
    from storage import FeatureStore
    from storage.compact import compact as merge

    def tell(feature: str, parts: int) -> None:
        if not (json or dry_run):
            err.print(f"compact: {count(parts, 'small part')} of {feature}", soft_wrap=True)

    opened = FeatureStore.open(store, read_only=dry_run)
    done = merge(opened, features=names_of(features), dry_run=dry_run, tell=tell)
    if json:
        print_json(done.to_json())
        return
    for name, parts in done.before.items():
        out.print(f"{name}: {count(parts, 'part')} → {done.after[name]:,}")
    for (name, part), text in done.damaged.items():
        out.print(f"{name}: left in part {part}: {text}", soft_wrap=True)
    merged = {name: files for name, files in done.files.items() if files}
    if merged:
        told = ", ".join(f"{files:,} of {name}" for name, files in merged.items())
        out.print(f"table files merged: {told}", soft_wrap=True)
    if not (done.before or merged):
        out.print("nothing to merge")
    elif not dry_run:
        out.print("affectstore gc gives back the old files once no kept version needs them")
