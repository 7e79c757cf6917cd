"""forget: every trace of a clip goes."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import app
from flows.cli.options import Corpus, Json, Store, err, out, print_json

#: clips named before the question; --json names all
NAMED_CLIPS = 10


@app.command()
def forget(
    store: Store,
    clip: Annotated[str | None, typer.Option("--clip", help="Id of one clip.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="All clips of a subject.")
    ] = None,
    corpus: Corpus = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a clip's rows and bytes for good, under tags too: consent was withdrawn."""
    from storage import FeatureStore
    from storage.forget import find_clips
    from storage.forget import forget as remove

    if (clip is None) == (subject is None):
        raise typer.BadParameter("give either --clip or --subject")
    opened = FeatureStore.open(store)
    clips = find_clips(opened, clip=clip, subject=subject, corpus=corpus)
    if not yes:
        named = ", ".join(f"{c}/{name}" for c, name in clips[:NAMED_CLIPS])
        more = f" and {len(clips) - NAMED_CLIPS} more" if len(clips) > NAMED_CLIPS else ""
        err.print(f"to forget: {named}{more}", soft_wrap=True, markup=False)
        typer.confirm("This can't be undone, in no version and under no tag. Go on?", abort=True)
    done = remove(opened, clips)
    if json:
        print_json(done.to_json())
        return
    out.print(
        f"{len(done.clips):,} clips forgotten: {done.wiped:,} parts wiped, {done.removed:,} "
        f"removed, {done.files:,} table files rewritten",
        soft_wrap=True,
    )
    for c, name in done.shared:
        err.print(
            f"  [yellow]![/] {c}/{name} has the same recording and keeps its results: "
            "forget it too if it shows the same person",
            soft_wrap=True,
        )
    for feature, part in done.damaged:
        err.print(
            f"  [yellow]![/] part {part} of {feature} was damaged and is removed whole: "
            "affectstore repair, then extract",
            soft_wrap=True,
        )
    if done.young:
        err.print(
            f"  [yellow]![/] {done.young:,} parts of runs under way may hold rows: "
            "forget again when those runs are over",
            soft_wrap=True,
        )
    out.print("affectstore verify proves it; the media files themselves are not touched")
