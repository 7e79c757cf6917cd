"""verify and repair: whether a store still holds what its catalogue says."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from features.spelling import shortened
from flows.cli.app import UPKEEP, app
from flows.cli.counting import counting
from flows.cli.options import Json, Store, count, out, print_json, size

if TYPE_CHECKING:
    from storage.verify import Verification

#: clips named for one problem; --json names all
NAMED_CLIPS = 6

OnlyFeatures = Annotated[
    str | None, typer.Option("--features", "-f", help="Names joined by commas; all if left out.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")]


@app.command(rich_help_panel=UPKEEP)
def verify(
    store: Store,
    sample: Annotated[
        float, typer.Option("--sample", help="Share of the results to read, 0 to 1.", min=0, max=1)
    ] = 1.0,
    features: OnlyFeatures = None,
    json: Json = False,
) -> None:
    """Read everything again and compare it with its hashes. Exit code 1 if anything is wrong."""
    from storage import FeatureStore
    from storage.verify import verify as check

    opened = FeatureStore.open(store, read_only=True)
    with counting("verify", "results", quiet=json) as tell:
        found = check(opened, sample=sample, features=names_of(features), tell=tell)
    if json:
        print_json(found.to_json())
    else:
        _print(found, store)
    if not found.clean:
        raise typer.Exit(1)


@app.command(rich_help_panel=UPKEEP)
def repair(
    store: Store, features: OnlyFeatures = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Withdraw damaged results, so that the next extract computes them again."""
    from storage import FeatureStore
    from storage.repair import repair as mend

    opened = FeatureStore.open(store, read_only=dry_run)
    done = mend(opened, features=names_of(features), dry_run=dry_run)
    if json:
        print_json(done.to_json())
        return
    would = "would be withdrawn" if dry_run else "withdrawn"
    for r in done.withdrawn:
        out.print(f"{r.corpus}/{r.clip}: {r.feature} {would}", soft_wrap=True)
    for r in done.restored:
        again = "would read" if dry_run else "reads"
        out.print(
            f"{r.corpus}/{r.clip}: {r.feature} under a tag {again} equal, sound rows",
            soft_wrap=True,
        )
    for r in done.tagged:
        out.print(
            f"{r.corpus}/{r.clip}: {r.feature} is damaged under a tag; once its rows are there "
            "again with the same hash, repair restores it",
            soft_wrap=True,
        )
    if done.wiped:
        out.print(f"{count(done.wiped, 'part')} rewritten without rows that no version names")
    if not (done.withdrawn or done.restored or done.tagged or done.wiped):
        out.print("nothing to repair")
    elif done.withdrawn and not dry_run:
        _print_next({r.feature for r in done.withdrawn}, store)


def names_of(features: str | None) -> list[str] | None:
    """``"a,b"`` -> ``["a", "b"]``; None, or ``all``, for all."""
    if features is None or features.strip() == "all":
        return None
    return [name.strip() for name in features.split(",") if name.strip()]


def _print_next(features: set[str], store: str) -> None:
    labels = sorted(f for f in features if f.startswith("label."))
    made = sorted(features - set(labels))
    if made:
        out.print(
            f"affectstore extract --store {quote(store)} --features {','.join(made)} computes them "
            "again (with the --variant or --set that they were made with)",
            soft_wrap=True,
        )
    if labels:
        out.print(f"affectstore ingest publishes {', '.join(labels)} again", soft_wrap=True)


def _print(found: Verification, store: str) -> None:
    for p in found.problems:
        named = shortened(map("/".join, p.clips), most=NAMED_CLIPS)
        clips = f" ({named})" if named else ""
        what = f"part {p.part} of {p.feature}" if p.feature else p.part
        out.print(f"{p.kind}: {what}: {p.message}{clips}", soft_wrap=True)
    out.print(
        f"{found.results:,} of {found.of:,} results read, {size(found.bytes)} "
        f"in {count(found.parts, 'part')}: " + ("all as published" if found.clean else "not sound")
    )
    if found.orphans:
        total = sum(p.bytes for p in found.orphans)
        out.print(
            f"{count(len(found.orphans), 'part')} ({size(total)}) named by no version: left by "
            "broken-off runs, or of a run under way; affectstore gc removes old ones",
            soft_wrap=True,
        )
    if any(p.kind == "remains" and not p.feature for p in found.problems):
        out.print("affectstore forget, with the same clip or subject, finishes what was broken off")
    if any(p.feature for p in found.problems):
        then = f"affectstore repair --store {quote(store)} makes them ready to compute again"
        out.print(then, soft_wrap=True)
